// What every client of OpenAI's formats is to do.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Client, type Door, WEATHER } from "./clients.ts";
import { type CountingDoor, startDoor } from "./door.ts";
import { endedCalls, limitTo, verifyBalances } from "./spend.ts";
import { startTestStack, type TestStack, type TestTenant, type TestUser } from "./stack.ts";

const MODEL = "openai/gpt-4o-mini";
/** 1,000 tokens in and 500 out. */
const CALL = { status: "settled", is_estimated: false, cost_usd: "0.000450000000" };

/** Tests each of these clients on a stack of its own. */
export function tryOpenAIClients(clientsOf: (door: Door, model: string) => Record<string, Client>) {
  const names = Object.keys(clientsOf({ baseURL: "http://nowhere", apiKey: "none" }, MODEL));
  let stack: TestStack;
  let door: CountingDoor;
  let user: TestUser;
  let tenant: TestTenant;

  beforeAll(async () => {
    stack = await startTestStack();
    door = await startDoor(stack.url);
    addFixtures(stack);
  });
  afterAll(async () => {
    await door?.stop();
    await stack?.stop();
  });
  beforeEach(async () => {
    user = await stack.signUp();
    tenant = await stack.createTenant({ members: [user] });
    door.visits.length = 0;
  });

  describe.each(names)("%s", (name) => {
    const client = () =>
      clientsOf({ baseURL: `${door.url}/functions/v1/openai`, apiKey: user.jwt }, MODEL)[
        name
      ] as Client;

    it("answers, and its cost is booked to the last decimal", async () => {
      expect(await client().answer("Say hello.")).toBe("Hello from here.");
      expect(await endedCalls(stack.sql, tenant.id, 1)).toMatchObject([CALL]);
    });

    it("streams", async () => {
      expect(await client().stream("Say hello.")).toBe("Hello from here.");
      expect(await endedCalls(stack.sql, tenant.id, 1)).toMatchObject([CALL]);
    });

    it("calls a tool and goes on with its answer: two calls", async () => {
      expect(await client().callTool("What is the weather?")).toBe("It rains.");
      expect(await endedCalls(stack.sql, tenant.id, 2)).toMatchObject([CALL, CALL]);
    });

    it("gets an answer of its schema", async () => {
      expect(await client().structured("Where is it?")).toEqual(WEATHER);
      expect(await endedCalls(stack.sql, tenant.id, 1)).toMatchObject([CALL]);
    });

    it("throws its own error for a rate limit, at a limit of 0, after as many requests as it makes", async () => {
      await limitTo(stack.sql, tenant.id, 0);
      const { answer, isRateLimit, requests } = client();
      await expect(answer("Say hello.")).rejects.toSatisfy(isRateLimit);
      expect(door.visits.map(({ status }) => status)).toEqual(Array(requests).fill(429));
      expect(await endedCalls(stack.sql, tenant.id, 0)).toEqual([]);
    });

    it("throws when the answer breaks off, which is paid for", async () => {
      await expect(client().stream("Break off.")).rejects.toThrow();
      expect(await endedCalls(stack.sql, tenant.id, 1)).toMatchObject([
        { status: "settled", is_estimated: true },
      ]);
    });
  });

  it("After all of this the balances equal the ledger", async () => {
    expect(await verifyBalances(stack.sql)).toEqual([]);
  });
}

function addFixtures({ mock }: TestStack): void {
  const usage = {
    ...{ prompt_tokens: 1000, completion_tokens: 500 },
    ...{ input_tokens: 1000, output_tokens: 500 },
  };
  const fixture = (match: object, response: object, options = {}) =>
    mock.prependFixture({ match, response: { usage, ...response } as never, ...options });
  fixture({ userMessage: "Say hello." }, { content: "Hello from here." });
  fixture({ userMessage: "Where is it?" }, { content: JSON.stringify(WEATHER) });
  fixture(
    { userMessage: "Break off." },
    { content: "word ".repeat(80) },
    { truncateAfterChunks: 12, streamingProfile: { ttft: 10, tps: 200 } },
  );
  const call = { id: "call_1", name: "weather", arguments: JSON.stringify(WEATHER) };
  fixture({ userMessage: "What is the weather?", hasToolResult: false }, { toolCalls: [call] });
  fixture({ toolCallId: "call_1" }, { content: "It rains." });
}
