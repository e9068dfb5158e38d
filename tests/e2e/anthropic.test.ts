// Anthropic's endpoint over plain HTTP: what agents send, what reaches Claude of it, and errors in Anthropic's shape.
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { spendgateError } from "../../client/errors.ts";
import { eventsOf } from "../support/messages.ts";
import { type Script, type ScriptedProvider, startScriptedProvider } from "../support/provider.ts";
import { callsOf, endedCalls, limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { tells } from "../support/told.ts";

const CLAUDE = "claude-haiku-4-5";

let provider: ScriptedProvider;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  provider = await startScriptedProvider();
  // A machine that is busy with other tests is no failure of the gate.
  const env = { ...provider.othersEnv, SPENDGATE_GATE_TIMEOUT_MS: "20000" };
  stack = await startTestStack({ provider, env });
});
afterAll(() => stack?.stop());
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  provider.journal.length = 0;
  provider.plays(tells({ text: "Hi." }));
});

const body = (fields: object = {}) => ({
  ...{ model: CLAUDE, max_tokens: 100, messages: [{ role: "user", content: "Hello" }] },
  ...fields,
});
const send = (fields: object = {}, init: RequestInit = {}) =>
  stack.call("/anthropic/v1/messages?beta=true", { user, json: body(fields), ...init });

// biome-ignore lint/suspicious/noExplicitAny: the shape is what the tests are about.
const jsonOf = (response: Response): Promise<any> => response.json();

const fails =
  (status: number, type: string, headers = {}): Script =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ type: "error", error: { type, message: "a secret" } }));
  };

describe("An agent's conversation", () => {
  const cache_control = { type: "ephemeral", ttl: "1h" };
  const tools = Array.from({ length: 40 }, (_, index) => ({
    ...{ name: `tool_${index}`, description: "A tool", input_schema: { type: "object" } },
    ...(index === 39 && { cache_control }),
  }));
  const turn = (messages: object[]) => ({
    ...{ messages, tools, max_tokens: 4000 },
    system: [
      { type: "text", text: "You are an agent." },
      { type: "text", text: "Rules.", cache_control },
    ],
    thinking: { type: "enabled", budget_tokens: 1024 },
    metadata: { user_id: "user_1_session_2" },
  });
  const headers = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
    "x-spendgate-task": "agent:code",
    "x-spendgate-conversation": "one",
  };
  const first = [{ role: "user", content: [{ type: "text", text: "Go.", cache_control }] }];

  it("reaches Claude with the same bytes for what two turns have in common, streamed or not", async () => {
    const second = [
      ...first,
      { role: "assistant", content: [{ type: "text", text: "Hi." }] },
      { role: "user", content: [{ type: "text", text: "On." }] },
    ];
    for (const each of [{ ...turn(first), stream: true }, turn(second)]) {
      const response = await send(each, { headers });
      expect([response.status, await response.text()]).toEqual([200, expect.any(String)]);
    }
    const [one, two] = provider.journal.map(
      ({ body }) => body as unknown as Record<string, object>,
    );
    for (const field of ["system", "tools", "thinking"]) {
      expect(JSON.stringify(two?.[field])).toBe(JSON.stringify(one?.[field]));
      expect(one?.[field]).toEqual((turn(first) as Record<string, unknown>)[field]);
    }
    const shared = JSON.stringify(one?.messages).slice(0, -1);
    expect(JSON.stringify(two?.messages).startsWith(shared)).toBe(true);
    expect(one).toMatchObject({ max_tokens: 4000, metadata: { user_id: "user_1_session_2" } });
    const betas = provider.journal[0]?.headers["anthropic-beta"];
    expect(betas).toContain("interleaved-thinking-2025-05-14");
    expect(betas).not.toContain("claude-code");
    expect(await endedCalls(stack.sql, tenant.id, 2)).toMatchObject([
      { task: "agent:code", conversation_id: "one", is_estimated: false },
      { task: "agent:code", conversation_id: "one", is_estimated: false },
    ]);
  });

  it("is charged what Claude wrote to its cache for an hour and for five minutes, and read", async () => {
    provider.plays((response) => {
      const usage = {
        ...{ input_tokens: 100, output_tokens: 50, cache_read_input_tokens: 1000 },
        cache_creation_input_tokens: 3000,
        cache_creation: { ephemeral_5m_input_tokens: 1000, ephemeral_1h_input_tokens: 2000 },
      };
      const content = [
        { type: "thinking", thinking: "Hm.", signature: "signed" },
        { type: "redacted_thinking", data: "hidden" },
        { type: "text", text: "Hi." },
      ];
      const frame = { id: "msg_1", type: "message", role: "assistant", model: CLAUDE };
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ ...frame, content, stop_reason: "end_turn", usage }));
    });
    const answer = await jsonOf(await send(turn(first), { headers }));
    expect(answer).toMatchObject({
      content: [
        { type: "thinking", thinking: "Hm.", signature: "signed" },
        { type: "redacted_thinking", data: "hidden" },
        { type: "text", text: "Hi." },
      ],
      usage: { cache_creation: { ephemeral_1h_input_tokens: 2000 }, cache_read_input_tokens: 1000 },
    });
    // Per million: input $1, output $5, read $0.10, written for 5 minutes $1.25, for an hour $2.
    expect(await endedCalls(stack.sql, tenant.id, 1)).toMatchObject([
      { cost_usd: "0.005700000000", is_estimated: false },
    ]);
    // What came is taken back as it is.
    await send(turn([...first, { role: "assistant", content: answer.content }, ...first]));
    const { messages } = provider.journal.at(-1)?.body ?? {};
    expect(messages?.[1]?.content).toEqual([
      { type: "thinking", thinking: "Hm.", signature: "signed" },
      { type: "redacted_thinking", data: "hidden" },
      { type: "text", text: "Hi." },
    ]);
  });

  it("tells its cost in the last event, and in the headers of an answer that does not stream", async () => {
    const events = eventsOf(await (await send({ stream: true })).text());
    expect(events[0]).toMatchObject({
      type: "message_start",
      message: { usage: { input_tokens: 1000 } },
    });
    expect(events.at(-1)).toMatchObject({
      type: "message_stop",
      spendgate: { calls: [{ costUsd: "0.0035", isEstimated: false }] },
    });
    const { headers } = await send();
    expect(headers.get("x-spendgate-cost-usd")).toBe("0.0035");
    expect(headers.get("request-id")).toBeTruthy();
  });

  it("has named what the model's provider does not take", async () => {
    const response = await send({
      model: "openai/gpt-4o-mini",
      top_k: 5,
      system: turn(first).system,
    });
    expect(response.headers.get("x-spendgate-warnings")).toBe("cache_control, top_k");
  });
});

describe("An error is one of Anthropic's", () => {
  const shape = (type: string, code: string) => ({
    ...{ type: "error", error: { type, code }, request_id: expect.any(String) },
  });

  it("401 without a key", async () => {
    const response = await stack.call("/anthropic/v1/messages", { json: body() });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject(shape("authentication_error", "unauthorized"));
  });

  it("403 for another's tenant, of a message and of a count", async () => {
    const other = await stack.createTenant();
    for (const [path, json] of [
      ["/anthropic/v1/messages", body()],
      ["/anthropic/v1/messages/count_tokens", body({ max_tokens: undefined })],
    ] as const) {
      const headers = { "x-spendgate-tenant": other.id };
      const response = await stack.call(path, { user, json, headers });
      expect(response.status).toBe(403);
      expect(await response.json()).toMatchObject(shape("permission_error", "not_a_member"));
    }
    expect(provider.journal).toEqual([]);
  });

  it("400 for a field that is not known, by its name", async () => {
    const response = await send({ container: "c" });
    expect(response.status).toBe(400);
    const answer = await jsonOf(response);
    expect(answer).toMatchObject(shape("invalid_request_error", "invalid_request"));
    expect(answer.error.message).toContain("container");
  });

  it.each([
    [{ max_tokens: 0 }, ["max_tokens: Too small: expected number to be >=1"]],
    [{ system: 5 }, ["system: Invalid input: expected string, or array"]],
    [
      { mcp_servers: [{ type: "url", url: "https://x.example", name: "x" }] },
      ["mcp_servers.0: MCP servers are not served here: send their tools as your own."],
    ],
  ])("400 for %j, which says what is taken", async (fields, words) => {
    const response = await send(fields);
    expect(response.status).toBe(400);
    const { error } = await jsonOf(response);
    const said = error.issues.map(
      ({ path, message }: Record<string, string>) => `${path}: ${message}`,
    );
    expect(said).toEqual(words);
  });

  it("400 for a schema of 20,000 levels", async () => {
    const schema = `{"type":"object","x":${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}}`;
    const text = JSON.stringify(body({ tools: [{ name: "f", input_schema: 0 }] }));
    const response = await stack.call("/anthropic/v1/messages", {
      ...{
        user,
        method: "POST",
        body: text.replace('"input_schema":0', `"input_schema":${schema}`),
      },
    });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("500 levels");
    expect(provider.journal).toEqual([]);
  });

  it("404 for batches and files, which names what is served", async () => {
    for (const path of ["/v1/messages/batches", "/v1/files", "/v1/complete"]) {
      const response = await stack.call(`/anthropic${path}`, { user, json: {} });
      expect(response.status).toBe(404);
      const answer = await jsonOf(response);
      expect(answer).toMatchObject(shape("not_found_error", "not_found"));
      expect(answer.error.message).toContain("/v1/messages");
    }
  });

  it("429 with the time to wait, and the quota for the client's helper", async () => {
    await send();
    await endedCalls(stack.sql, tenant.id, 1);
    await limitTo(stack.sql, tenant.id, 0.0035);
    const response = await send();
    expect(response.status).toBe(429);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(response.headers.get("x-should-retry")).toBe("false");
    const answer = await jsonOf(response);
    expect(answer).toMatchObject(shape("rate_limit_error", "quota_exceeded"));
    expect(spendgateError(answer)).toMatchObject({
      code: "quota_exceeded",
      quota: { limitUsd: 0.0035 },
    });
  });

  it("529 where Claude is busy, which its SDK tries again, and 502 where it refuses the account", async () => {
    provider.plays(fails(529, "overloaded_error", { "retry-after": "1" }), tells({ text: "Hi." }));
    const client = new Anthropic({
      ...{ baseURL: `${stack.url}/functions/v1/anthropic`, apiKey: user.jwt },
    });
    const answer = await client.messages.create(body() as never);
    expect(answer).toMatchObject({ content: [{ text: "Hi." }] });
    expect(provider.journal).toHaveLength(2);

    provider.plays(fails(529, "overloaded_error"));
    const busy = await send();
    expect(busy.status).toBe(529);
    expect(await busy.json()).toMatchObject(shape("overloaded_error", "upstream_error"));

    provider.plays(fails(401, "authentication_error"));
    const account = await send();
    expect(account.status).toBe(502);
    const text = await account.text();
    expect(JSON.parse(text)).toMatchObject(shape("api_error", "upstream_error"));
    expect(text).not.toContain("a secret");
    const calls = await callsOf(stack.sql, tenant.id);
    expect(calls.filter(({ status }) => status === "settled")).toHaveLength(1);
  });
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
