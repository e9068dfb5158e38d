// The Responses API through the running stack, by the official SDK with nothing but `baseURL` and the user's JWT.
// tests/wire has what each provider is sent, and what is booked; clients_openai.test.ts has the other clients.
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

function answer(prompt: string, content: string) {
  const tokens = { ...{ prompt_tokens: 1000, completion_tokens: 500 } };
  const usage = { ...tokens, input_tokens: 1000, output_tokens: 500 };
  stack.mock.prependFixture({
    match: { userMessage: prompt },
    response: { content, usage } as never,
  });
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    (value) => expect.fail(`it answered ${JSON.stringify(value)}`),
    (error) => error,
  );

describe("A response", () => {
  it("says that nothing is stored, and its cost in the headers and in the ledger", async () => {
    answer("whole", "Hello.");
    const { data, response } = await openai.responses
      .create(
        { model: MODEL, input: "whole", max_output_tokens: 600, metadata: { a: "b" } },
        { headers: { "x-spendgate-task": "agent:guide", "x-spendgate-conversation": "talk" } },
      )
      .withResponse();
    const reservation = response.headers.get("x-spendgate-reservation");
    expect(data).toMatchObject({
      ...{ id: `resp_${reservation}`, object: "response", status: "completed", model: MODEL },
      ...{ store: false, output_text: "Hello.", max_output_tokens: 600, metadata: { a: "b" } },
      usage: { input_tokens: 1000, output_tokens: 500, total_tokens: 1500 },
    });
    expect(response.headers.get("x-spendgate-cost-usd")).toBe("0.00045");
    expect(await endedCall(stack.sql, tenant.id)).toMatchObject({
      ...{ cost_usd: "0.000450000000", is_estimated: false },
      ...{ task: "agent:guide", conversation_id: "talk" },
    });
    expect(stack.journal()[0]).toMatchObject({ path: "/v1/responses", body: { max_tokens: 600 } });
  });

  it("that streams says its cost in the last event", async () => {
    answer("streamed", "Hello from the stream.");
    const stream = await openai.responses.create({ model: MODEL, input: "streamed", stream: true });
    const events = [];
    for await (const event of stream) events.push(event);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
    expect(events.at(-1)).toMatchObject({
      type: "response.completed",
      response: { spendgate: { calls: [{ costUsd: "0.00045", isEstimated: false }] } },
    });
  });

  it.each(["anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash"])(
    "comes from %s too",
    async (model) => {
      answer(model, "Hello.");
      const { output_text, usage } = await openai.responses.create({ model, input: model });
      expect(output_text).toBe("Hello.");
      expect(usage).toMatchObject({ input_tokens: 1000, output_tokens: 500 });
    },
  );

  it("sent again is the same request of the provider, and so is what a longer one begins with", async () => {
    const call = { call_id: "call_1", name: "weather", arguments: '{"city":"Cork"}' };
    const input: OpenAI.Responses.ResponseInput = [
      { role: "user", content: [{ type: "input_text", text: "Weather in Cork?" }] },
      { type: "function_call", id: "fc_1", status: "completed", ...call },
      { type: "function_call_output", call_id: "call_1", output: "It rains." },
      { type: "message", role: "assistant", id: "msg_1", content: "It rains." } as never,
    ];
    const more = [...input, { role: "user" as const, content: "And tomorrow?" }];
    for (const each of [input, input, more]) {
      await openai.responses.create({ model: MODEL, instructions: "Be short.", input: each });
    }
    const [first, again, longer] = stack.journal().map(({ body }) => body?.messages as unknown[]);
    expect(first).toHaveLength(5);
    expect(again).toEqual(first);
    expect(longer?.slice(0, 5)).toEqual(first);
  });
});

describe("The SDK throws", () => {
  it("a BadRequestError that names what is not stored here, before anything is held", async () => {
    const error = await failure(
      openai.responses.create({ model: MODEL, input: "x", previous_response_id: "resp_1" }),
    );
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ param: "previous_response_id", code: "invalid_request" });
    expect(error.message).toContain("send the whole conversation");
    expect(stack.journal()).toHaveLength(0);
  });

  it("a RateLimitError that says which quota is used up, and does not retry", async () => {
    await limitTo(stack.sql, tenant.id, 0.00001);
    const error = await failure(openai.responses.create({ model: MODEL, input: "x" }));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(error).toMatchObject({ code: "quota_exceeded", type: "quota_exceeded" });
    expect(error.headers.get("x-should-retry")).toBe("false");
  });

  it.each([
    ["a response of before", () => openai.responses.retrieve("resp_1"), "whole conversation"],
    ["files", () => openai.files.list(), "/images/generations"],
    ["batches", () => openai.batches.list(), "/responses"],
  ])("a NotFoundError for %s that says what there is", async (_, call, words) => {
    const error = await failure(call());
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error).toMatchObject({ code: "not_found" });
    expect(error.message).toContain(words);
  });
});

describe("The list of models", () => {
  const listed = async () => {
    const ids = [];
    for await (const { id } of openai.models.list()) ids.push(id);
    return ids;
  };

  it("is without those of which a quota of the caller has nothing left", async () => {
    const other = await stack.createTenant();
    await stack.sql`
      insert into spend.cost_quotas (scope, tenant_id, resource_type, period, product, limit_usd)
      values ('tenant', ${tenant.id}, 'llm', 'month', 'gpt-4o', 0),
        ('tenant', ${tenant.id}, 'llm', 'month', 'o3', 1),
        ('tenant', ${other.id}, 'llm', 'month', 'gpt-4.1', 0)`;
    const ids = await listed();
    expect(ids).not.toContain("openai/gpt-4o");
    expect(ids).toEqual(
      expect.arrayContaining(["openai/gpt-4o-mini", "openai/o3", "openai/gpt-4.1"]),
    );
  });

  it("does not tell a stranger what a tenant has used up", async () => {
    await stack.sql`
      insert into spend.cost_quotas (scope, tenant_id, resource_type, period, product, limit_usd)
      values ('tenant', ${tenant.id}, 'llm', 'month', 'gpt-4o', 0)`;
    const stranger = await stack.signUp();
    const inTenant = { defaultHeaders: { "x-spendgate-tenant": tenant.id } };
    openai = openai.withOptions(inTenant);
    expect(await listed()).not.toContain("openai/gpt-4o");
    openai = openai.withOptions({ apiKey: stranger.jwt });
    expect(await listed()).toContain("openai/gpt-4o");
  });

  it("is for a user of several tenants, and of none, as if there were no quotas", async () => {
    const stranger = await stack.signUp();
    await stack.createTenant({ members: [user] });
    const all = await listed();
    openai = openai.withOptions({ apiKey: stranger.jwt });
    expect(await listed()).toEqual(all);
    expect(all).toContain("openai/gpt-4o");
  });

  it.each([
    ["gpt-4o-mini", "openai/gpt-4o-mini"],
    ["openai/gpt-4o-mini", "openai/gpt-4o-mini"],
    ["ft:gpt-4o-mini-2024-07-18:acme::1", "openai/ft:gpt-4o-mini-2024-07-18:acme::1"],
    ["claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5-20250929"],
  ])("has %s by any name that a call takes", async (name, id) => {
    expect(await openai.models.retrieve(name)).toMatchObject({ id, object: "model" });
  });

  it.each(["nothing", "openai/no-such-model", "nobody/gpt-4o", "dall-e-3"])(
    "has no %s",
    async (name) => {
      expect(await failure(openai.models.retrieve(name))).toBeInstanceOf(OpenAI.NotFoundError);
    },
  );
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
