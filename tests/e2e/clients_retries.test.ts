// What clients do with refusals, their own retries left as they come: how often they ask, and what that costs.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { anthropicClients } from "../support/anthropic_clients.ts";
import type { Client } from "../support/clients.ts";
import { type CountingDoor, startDoor } from "../support/door.ts";
import { openaiClients } from "../support/openai_clients.ts";
import { refuses, type ScriptedProvider, startScriptedProvider } from "../support/provider.ts";
import {
  addTestModel,
  callsOf,
  endedCalls,
  heldUsd,
  limitTo,
  usageOf,
  verifyBalances,
} from "../support/spend.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";
import { tells } from "../support/told.ts";

const LIMIT_USD = 100;

/** Served in every format. */
const MODEL = "anthropic/claude-haiku-4-5";

const clientsOf = (origin: string, apiKey: string): Record<string, Client> => ({
  ...openaiClients({ baseURL: `${origin}/functions/v1/openai`, apiKey }, MODEL),
  ...anthropicClients({ baseURL: `${origin}/functions/v1/anthropic`, apiKey }, MODEL),
});
const NAMES = Object.keys(clientsOf("http://nowhere", "none"));

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
  const client = clientsOf(door.url, user.jwt)[name] as Client;
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

describe.concurrent.each(NAMES)("%s", (name) => {
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

  it("comes back where open calls held what is left: one call is booked", async () => {
    const visitor = await visitorOf(name, async (visit) => {
      if (visit === 2) await stack.sql`select spend.release(${hold}, 'done')`;
    });
    const hold = await holdAll(visitor.tenantId, visitor.userId);
    expect(await visitor.client.answer("Hello")).toBe("Hi there.");
    expect(visitor.visits).toMatchObject([{ status: 429, retryAfter: 1 }, { status: 200 }]);
    const [, ...calls] = await endedCalls(stack.sql, visitor.tenantId, 2);
    expect(calls).toMatchObject([{ status: "settled", is_estimated: false }]);
  });

  it.each([
    ["is busy", 429, [503, 529]],
    ["fails", 500, [502, 502]],
  ] as const)(
    "tries again where the provider %s once: one call is booked, and one is released",
    async (_, status, [openai, anthropic]) => {
      const visitor = await visitorOf(name);
      expect(await visitor.client.stream(`Fail with ${status}. ${name}`)).toBe("Hi there.");
      const refused = name.includes("anthropic") ? anthropic : openai;
      expect(statusesOf(visitor)).toEqual([refused, 200]);
      expect(await endedCalls(stack.sql, visitor.tenantId, 2)).toMatchObject([
        { status: "released", actual_cost_usd: "0.000000000000", cost_usd: null },
        { status: "settled", is_estimated: false },
      ]);
    },
  );
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
