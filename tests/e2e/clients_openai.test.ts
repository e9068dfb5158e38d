// A matrix: every client of OpenAI's formats that people use, and what each of them does.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openaiClients, WEATHER } from "../support/openai_clients.ts";
import { endedCalls, limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";

const MODEL = "openai/gpt-4o-mini";
const NAMES = Object.keys(openaiClients({ baseURL: "http://nowhere", apiKey: "none" }, MODEL));

let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  stack = await startTestStack();
  const usage = (input: number, output: number) => ({
    ...{ prompt_tokens: input, completion_tokens: output },
    ...{ input_tokens: input, output_tokens: output },
  });
  const fixture = (match: object, response: object, options = {}) =>
    stack.mock.prependFixture({
      match,
      response: { usage: usage(1000, 500), ...response } as never,
      ...options,
    });
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
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
});

/** 1,000 tokens in and 500 out of gpt-4o-mini. */
const CALL = { status: "settled", is_estimated: false, cost_usd: "0.000450000000" };

describe.each(NAMES)("%s", (name) => {
  const client = () => {
    const door = { baseURL: `${stack.url}/functions/v1/openai`, apiKey: user.jwt };
    const found = openaiClients(door, MODEL)[name];
    if (found === undefined) throw new Error(`no client ${name}`);
    return found;
  };
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      (value) => expect.fail(`it answered ${JSON.stringify(value)}`),
      (error) => error as unknown,
    );

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

  it("throws its own error for a rate limit, at a limit of 0, once", async () => {
    await limitTo(stack.sql, tenant.id, 0);
    const { isRateLimit, answer } = client();
    const error = await failure(answer("Say hello."));
    expect(isRateLimit(error), String(error)).toBe(true);
    expect(await endedCalls(stack.sql, tenant.id, 0)).toEqual([]);
  });

  it("throws when the answer breaks off, which is paid for", async () => {
    expect(await failure(client().stream("Break off."))).toBeInstanceOf(Error);
    expect(await endedCalls(stack.sql, tenant.id, 1)).toMatchObject([
      { status: "settled", is_estimated: true },
    ]);
  });
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
