// What every client is to do with refusals, its own retries left as they come: how often it asks, and what that costs.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Client, Door } from "./clients.ts";
import { type CountingDoor, startDoor } from "./door.ts";
import { refuses, type ScriptedProvider, startScriptedProvider } from "./provider.ts";
import {
  addTestModel,
  callsOf,
  endedCalls,
  heldUsd,
  limitTo,
  usageOf,
  verifyBalances,
} from "./spend.ts";
import { startTestStack, type TestStack } from "./stack.ts";
import { tells } from "./told.ts";

const LIMIT_USD = 100;

/** Served in every format. */
const MODEL = "anthropic/claude-haiku-4-5";

/** Tests each of these clients on a stack of its own; `doorOf` is the door of the function of that name. */
export function tryRefusals(
  clientsOf: (doorOf: (name: string) => Door, model: string) => Record<string, Client>,
) {
  const names = Object.keys(
    clientsOf(() => ({ baseURL: "http://nowhere", apiKey: "none" }), MODEL),
  );
  let provider: ScriptedProvider;
  let stack: TestStack;
  const doors: CountingDoor[] = [];

  beforeAll(async () => {
    provider = await startScriptedProvider();
    const failed = new Set<string>();
    // Who asks it to fail is refused once.
    provider.plays((response, request) => {
      const prompt = JSON.stringify(request.body.messages);
      const status = Number(/Fail with (\d+)/.exec(prompt)?.[1]);
      if (!status || failed.has(prompt)) return tells({ text: "Hi there." })(response, request);
      failed.add(prompt);
      return refuses(status, status === 429 ? { "retry-after": "1" } : {})(response, request);
    });
    // A machine that is busy with other tests is no failure of the gate.
    const env = { ...provider.othersEnv, SPENDGATE_GATE_TIMEOUT_MS: "20000" };
    stack = await startTestStack({ provider, env });
    await addTestModel(stack.sql);
  });
  afterAll(async () => {
    await Promise.all(doors.map((door) => door.stop()));
    await stack?.stop();
  });

  /** A client before its own door, for a tenant of its own. */
  async function visitorOf(name: string, letIn?: (visit: number) => Promise<unknown>) {
    const user = await stack.signUp();
    const tenant = await stack.createTenant({ members: [user] });
    await limitTo(stack.sql, tenant.id, LIMIT_USD);
    const door = await startDoor(stack.url, letIn);
    doors.push(door);
    const doorOf = (gate: string) => ({
      baseURL: `${door.url}/functions/v1/${gate}`,
      apiKey: user.jwt,
    });
    const client = clientsOf(doorOf, MODEL)[name] as Client;
    return { client, tenantId: tenant.id, userId: user.id, visits: door.visits };
  }

  const statusesOf = ({ visits }: { visits: CountingDoor["visits"] }) =>
    visits.map(({ status }) => status);

  /** Spends all that the tenant has, at a time when its month does not end soon. */
  async function useUp(tenantId: string): Promise<void> {
    await stack.sql`
      update spend.tenants set time_zone = 'Etc/GMT+12'
      where id = ${tenantId} and extract(day from now() at time zone 'UTC' + interval '1 hour') = 1`;
    await stack.sql`select spend.adjust(${tenantId}, ${LIMIT_USD}, 'used up')`;
  }

  /** Holds all that the tenant has, for calls that are told to come back after a second. */
  async function holdAll(tenantId: string, userId: string): Promise<string> {
    const [hold] = await stack.sql`
      select reservation_id from spend.reserve(
        ${tenantId}, ${userId}, 'llm', ${stack.sql.json(usageOf(LIMIT_USD))}, ttl_seconds => 1)`;
    return hold?.reservation_id;
  }

  describe.concurrent.each(names)("%s", (name) => {
    describe.each(["answer", "stream"] as const)("(%s)", (does) => {
      it("throws its own error for a rate limit where a month is used up, and does not wait for its end", async () => {
        const visitor = await visitorOf(name);
        await useUp(visitor.tenantId);
        const { isRateLimit, requests } = visitor.client;
        await expect(visitor.client[does]("Hello")).rejects.toSatisfy(isRateLimit);
        expect(statusesOf(visitor)).toEqual(Array(requests).fill(429));
        for (const { retryAfter } of visitor.visits) expect(retryAfter).toBeGreaterThan(3600);
        expect(await callsOf(stack.sql, visitor.tenantId)).toEqual([]);
        expect(await heldUsd(stack.sql, visitor.tenantId)).toBe(0);
      });
    });

    it("comes back where open calls held what is left, or gives up: one call is booked, or none", async () => {
      const visitor = await visitorOf(name, async (visit) => {
        if (visit === 2) await stack.sql`select spend.release(${hold}, 'done')`;
      });
      const hold = await holdAll(visitor.tenantId, visitor.userId);
      const { client, visits } = visitor;
      if (client.givesUp) {
        await expect(client.answer("Hello")).rejects.toSatisfy(client.isRateLimit);
        await stack.sql`select spend.release(${hold}, 'done')`;
      } else expect(await client.answer("Hello")).toBe("Hi there.");
      const answers = client.givesUp ? [] : [{ status: 200 }];
      expect(visits).toMatchObject([{ status: 429, retryAfter: 1 }, ...answers]);
      const [, ...calls] = await endedCalls(stack.sql, visitor.tenantId, 1 + answers.length);
      expect(calls).toMatchObject(answers.map(() => ({ status: "settled", is_estimated: false })));
    });

    it.each([
      ["is busy", 429, [503, 529]],
      ["fails", 500, [502, 502]],
    ] as const)(
      "tries again where the provider %s once, or gives up: one call is released, and the next is booked",
      async (_, status, [openai, anthropic]) => {
        const visitor = await visitorOf(name);
        const { client } = visitor;
        const answer = client.stream(`Fail with ${status}. ${name}`);
        if (client.givesUp) await expect(answer).rejects.toThrow();
        else expect(await answer).toBe("Hi there.");
        const refused = name.includes("anthropic") ? anthropic : openai;
        expect(statusesOf(visitor)).toEqual(client.givesUp ? [refused] : [refused, 200]);
        const calls = [
          { status: "released", actual_cost_usd: "0.000000000000", cost_usd: null },
          { status: "settled", is_estimated: false },
        ].slice(0, visitor.visits.length);
        expect(await endedCalls(stack.sql, visitor.tenantId, calls.length)).toMatchObject(calls);
      },
    );
  });

  it("After all of this the balances equal the ledger", async () => {
    expect(await verifyBalances(stack.sql)).toEqual([]);
  });
}
