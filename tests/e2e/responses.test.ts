// The Responses API, as its clients see it: the official SDK with nothing but `baseURL` and the user's JWT.
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endedCall, limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";

const MODEL = "openai/gpt-4o-mini";

let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;
let openai: OpenAI;

beforeAll(async () => {
  stack = await startTestStack();
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  stack.mock.clearRequests();
  openai = new OpenAI({ baseURL: `${stack.url}/functions/v1/openai`, apiKey: user.jwt });
});

function answer(prompt: string, response: Record<string, unknown>, options = {}) {
  stack.mock.prependFixture({
    match: { userMessage: prompt },
    response: {
      usage: {
        prompt_tokens: 1000,
        completion_tokens: 500,
        input_tokens: 1000,
        output_tokens: 500,
      },
      ...response,
    } as never,
    ...options,
  });
}

describe("The official SDK", () => {
  it("creates a response, with its cost in the headers and in the ledger", async () => {
    answer("sdk response", { content: "Hello." });
    const { data, response } = await openai.responses
      .create({
        model: MODEL,
        input: "sdk response",
        max_output_tokens: 600,
        instructions: "Be short.",
      })
      .withResponse();
    console.log(JSON.stringify(data, null, 1), JSON.stringify(stack.journal()));
    expect(data.output_text).toBe("Hello.");
    expect(response.headers.get("x-spendgate-cost-usd")).toBe("0.00045");
    expect(await endedCall(stack.sql, tenant.id)).toMatchObject({
      cost_usd: "0.000450000000",
      is_estimated: false,
    });
  });
  it("streams", async () => {
    answer("sdk stream", { content: "Hello from the stream." });
    const events = [];
    for await (const event of await openai.responses.create({
      model: MODEL,
      input: "sdk stream",
      stream: true,
    }))
      events.push(event);
    console.log(events.map((e) => JSON.stringify(e)).join("\n"));
  });
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
