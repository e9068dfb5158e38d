// What a call costs that does not end well, for every provider: output that may have been produced unseen is paid
// for, only the provider's own refusal is free, and nobody is called when no time is left.
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { say } from "../support/messages.ts";
import {
  answers,
  beginStream,
  callsTool,
  refuses,
  type Script,
  type ScriptedProvider,
  sse,
  startScriptedProvider,
  textChunk,
  USAGE,
} from "../support/provider.ts";
import { closedPort } from "../support/server.ts";
import { endedCalls, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 4000;

let provider: ScriptedProvider;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  provider = await startScriptedProvider();
  stack = await startTestStack({
    provider,
    env: {
      ...provider.othersEnv,
      SPENDGATE_PROVIDERS: JSON.stringify({
        groq: { baseUrl: `http://127.0.0.1:${await closedPort()}` },
      }),
      SPENDGATE_CALL_TIMEOUT_MS: String(TIMEOUT_MS),
      SPENDGATE_DISCONNECT_GRACE_MS: "200",
    },
  });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  provider.journal.length = 0;
});

function chat(json: Record<string, unknown>, init: RequestInit = {}): Promise<Response> {
  return stack.call("/chat", { user, json: { ...say(), tenantId: tenant.id, ...json }, ...init });
}

function complete(json: Record<string, unknown>, init: RequestInit = {}): Promise<Response> {
  const headers = { "x-spendgate-tenant": tenant.id };
  const body = { ...say(), ...json };
  return stack.call("/openai/chat/completions", { user, json: body, headers, ...init });
}

const calls = (count: number) => endedCalls(stack.sql, tenant.id, count);

async function bookedAtBound(count = 1): Promise<void> {
  for (const call of await calls(count)) {
    expect(call).toMatchObject({ status: "settled", is_estimated: true, cost: call.estimate });
  }
}

async function free(): Promise<void> {
  expect(await calls(1)).toMatchObject([{ status: "released", cost: 0 }]);
}

/** A model that reasons out of sight: comments keep the connection open. */
const reasons: Script = async (response) => {
  beginStream(response);
  await goOn(response, ": still here\n\n");
};

/** Writes `text` again and again, until nobody listens. */
async function goOn(response: ServerResponse, text: string): Promise<void> {
  while (!response.destroyed) {
    response.write(text);
    await new Promise((next) => setTimeout(next, 50));
  }
}

/** Says `events`, then stays silent or goes on with comments. */
const says =
  (...events: string[]): Script =>
  async (response) => {
    beginStream(response);
    for (const event of events) response.write(event);
    await goOn(response, ": still here\n\n");
  };

/** Leaves once the provider was called so often, or after the first bytes of the answer. */
async function leave(
  call: (init: RequestInit) => Promise<Response>,
  when: "before" | "middle",
): Promise<number | undefined> {
  const client = new AbortController();
  const before = provider.journal.length;
  const sent = call({ signal: client.signal }).catch(() => undefined);
  if (when === "middle") await (await sent)?.body?.getReader().read();
  else await Promise.race([sent, until("it is called", () => provider.journal.length > before)]);
  client.abort();
  return (await sent)?.status;
}

const o3 = { model: "o3", stream: true, max_tokens: 20_000, reasoning_effort: "high" };

describe("What may have been produced out of sight is paid for", () => {
  it("when 100 calls of o3 at $0.16 hang up before a token on a limit of $0.50: three reach the provider", async () => {
    await stack.sql`
      update spend.cost_quotas set limit_usd = 0.5
      where tenant_id = ${tenant.id} and resource_type = 'llm'`;
    // The first call of all loads the function: its time is not what is looked at here.
    provider.plays(answers("Hello", { prompt_tokens: 1, completion_tokens: 1 }), reasons);
    await (await complete({ model: "gpt-4o-mini" })).text();
    for (let turn = 0; turn < 20; turn++) {
      const five = Array.from({ length: 5 }, () => leave((init) => complete(o3, init), "before"));
      await Promise.all(five);
    }
    const [first, ...booked] = await calls(4);
    expect(first?.cost).toBeLessThan(0.0001);
    for (const call of booked) expect(call.cost).toBeCloseTo(0.16, 2);
    expect(provider.journal).toHaveLength(4);
    expect(await verifyBalances(stack.sql)).toEqual([]);
  });

  it("when a call times out before its first token: it gives a 502, and is booked at its bound", async () => {
    provider.plays(reasons);
    const response = await complete(o3);
    expect(response.status).toBe(502);
    await bookedAtBound();
    await until("the provider is hung up on", () => provider.journal[0]?.aborted);
  });

  it.each(["gpt-4o-mini", "gpt-5-codex", "anthropic/claude-sonnet-4-5", "google/gemini-2.5-pro"])(
    "when %s falls silent before its first token: it gives a 502 in time, is booked at its bound, and is hung up on",
    async (model) => {
      provider.plays((response) => {
        beginStream(response);
        response.write(": thinking\n\n");
      });
      const startedAt = performance.now();
      const response = await complete({ model, stream: true });
      expect(response.status).toBe(502);
      expect(performance.now() - startedAt).toBeLessThan(TIMEOUT_MS + 1500);
      await bookedAtBound();
      await until("the provider is hung up on", () => provider.journal[0]?.aborted);
    },
  );

  it("when a client leaves after one word of a model that reasons unseen: it is booked at its bound", async () => {
    provider.plays(says(textChunk("word ")));
    await leave((init) => complete(o3, init), "middle");
    await bookedAtBound();
  });

  it("when a client leaves Gemini, which has reported 5,000 thoughts: they are booked at the least", async () => {
    const chunk = {
      candidates: [{ content: { role: "model", parts: [{ text: "word " }] } }],
      usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 9, thoughtsTokenCount: 5000 },
    };
    provider.plays(says(`data: ${JSON.stringify(chunk)}\n\n`));
    const gemini = { model: "google/gemini-2.5-pro", maxOutputTokens: 20_000 };
    await leave((init) => chat(gemini, init), "middle");
    const [call] = await calls(1);
    expect(call).toMatchObject({ status: "settled", is_estimated: true });
    // $10 a million tokens.
    expect(call?.cost).toBeGreaterThanOrEqual((5009 * 10) / 1e6);
  });
});

const event = (data: { type: string; [key: string]: unknown }) =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
const OVERLOADED = { type: "overloaded_error", message: "a secret of the provider" };
/** How Anthropic overloads once a stream has begun. */
const overloads: Script = (response) => {
  beginStream(response);
  const usage = { input_tokens: 100, output_tokens: 1 };
  const message = { id: "m", type: "message", role: "assistant", model: "c", content: [], usage };
  response.write(event({ type: "message_start", message }));
  response.end(event({ type: "error", error: OVERLOADED }));
};
const claude = { model: "anthropic/claude-sonnet-4-5", stream: true };

describe("Only the provider's own refusal is free", () => {
  const chunk = (value: object) => `data: ${JSON.stringify({ id: "x", ...value })}\n\n`;
  const badCall = { index: 0, id: "c", type: "function", function: { name: "f", arguments: {} } };
  it.each([
    [
      "a chunk without choices",
      chunk({ object: "chat.completion.chunk", service_tier: "default" }),
    ],
    [
      "a tool's arguments as an object",
      chunk({ choices: [{ index: 0, delta: { tool_calls: [badCall] } }] }),
    ],
    ["a line of JSON that is cut", 'data: {"choices":[{"delta":{"content":"THE SECRET ANSW\n\n'],
  ])(
    "and %s is none: it gives a 502, is booked at its bound, and the provider is hung up on",
    async (_, text) => {
      provider.plays(says(text));
      const response = await complete({ model: "gpt-4o-mini", stream: true });
      expect(response.status).toBe(502);
      await bookedAtBound();
      await until("the provider is hung up on", () => provider.journal[0]?.aborted);
      expect(stack.logs.join("\n")).not.toContain("SECRET");
    },
  );

  it.each([true, false])(
    "also where an answer of status 200 holds it: it gives a 502, and nothing is booked (stream: %s)",
    async (stream) => {
      provider.plays((response) => {
        response.writeHead(200, { "content-type": "application/json" });
        response.end('{"error":{"message":"a secret of the provider","code":502}}');
      });
      expect((await complete({ model: "gpt-4o-mini", stream })).status).toBe(502);
      await free();
    },
  );

  it("also before the first token while the provider goes on: it is hung up on", async () => {
    const error = { message: "a secret of the provider", type: "server_error" };
    provider.plays(says(sse({ error })));
    expect((await complete({ model: "gpt-4o-mini", stream: true })).status).toBe(502);
    await free();
    await until("the provider is hung up on", () => provider.journal[0]?.aborted);
  });

  it("and an error beside usage, in an answer of status 200, is none: the usage is booked", async () => {
    provider.plays((response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: { message: "no" }, usage: USAGE }));
    });
    expect((await complete({ model: "gpt-4o-mini" })).status).toBe(502);
    // 1,000 × $0.15 + 500 × $0.60 per million.
    expect(await calls(1)).toMatchObject([
      { status: "settled", is_estimated: false, cost: 0.00045 },
    ]);
  });

  it.each([408, 499, 504, 524])(
    "and a gateway's %i is none: the model may have worked, so the bound is booked",
    async (status) => {
      provider.plays(refuses(status));
      await complete({ model: "gpt-4o-mini", stream: true });
      await bookedAtBound();
    },
  );

  it.each([400, 429, 500, 503, 529])("as with its status %i", async (status) => {
    provider.plays(refuses(status));
    await complete({ model: "gpt-4o-mini", stream: true });
    await free();
  });

  it("and so is an address at which nobody listens, which gives a 502", async () => {
    await stack.sql`
      insert into spend.prices (resource_type, provider, product, meter, usd)
      values ('llm', 'groq', 'some-model', 'input_tokens', 1), ('llm', 'groq', 'some-model', 'output_tokens', 1)`;
    expect((await complete({ model: "groq/some-model" })).status).toBe(502);
    await free();
  });

  it("and so are 101 texts to embed where the model takes 100: they give a 400, and nothing is sent", async () => {
    const json = { model: "google/gemini-embedding-001", input: Array(101).fill("text") };
    const headers = { "x-spendgate-tenant": tenant.id };
    const response = await stack.call("/openai/embeddings", { user, json, headers });
    expect(response.status).toBe(400);
    expect(provider.journal).toHaveLength(0);
    const [sum] = await stack.sql`
      select coalesce(sum(actual_cost_usd), 0)::float8 as usd from spend.reservations where tenant_id = ${tenant.id}`;
    expect(sum?.usd).toBe(0);
  });
});

describe("The first token is the first output", () => {
  it("so Anthropic, overloaded after message_start, gives a 503, and nothing is booked", async () => {
    provider.plays(overloads);
    const response = await complete(claude);
    expect(response.status).toBe(503);
    expect(await response.text()).not.toContain("a secret");
    await free();
  });

  it("so Anthropic, overloaded after message_start, is followed by the fallback", async () => {
    provider.plays(overloads, answers("Hello", USAGE));
    const response = await chat({ ...claude, fallbackModels: ["gpt-4o-mini"] });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("Hello");
    expect(await calls(2)).toMatchObject([{ status: "released" }, { status: "settled" }]);
  });

  it("so a stream that ends before a token gives a 502, and is booked at its bound", async () => {
    provider.plays((response) => {
      beginStream(response);
      response.end(sse({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] }));
    });
    expect((await complete({ model: "gpt-4o-mini", stream: true })).status).toBe(502);
    await bookedAtBound();
  });
});

describe("A request has one deadline", () => {
  it.each([true, false])(
    "within which a provider that hangs is failed over (stream: %s)",
    async (stream) => {
      provider.plays(() => {}, answers("Hello", USAGE));
      const startedAt = performance.now();
      const response = await chat({ stream, model: "gpt-4o", fallbackModels: ["gpt-4o-mini"] });
      expect(response.status).toBe(200);
      expect(await response.text()).toContain("Hello");
      expect(performance.now() - startedAt).toBeLessThan(TIMEOUT_MS + 1500);
      expect(await calls(2)).toMatchObject([
        { product: "gpt-4o", status: "settled", is_estimated: true },
        { product: "gpt-4o-mini", status: "settled", is_estimated: false },
      ]);
    },
  );

  it("so three models that hang take no longer than one", async () => {
    provider.plays(() => {});
    const startedAt = performance.now();
    const response = await chat({ model: "gpt-4o", fallbackModels: ["gpt-4o-mini", "gpt-4.1"] });
    expect(response.status).toBe(502);
    expect(performance.now() - startedAt).toBeLessThan(TIMEOUT_MS + 1500);
    await bookedAtBound(3);
  });

  it("which an agent's steps share: with steps of 1.5 s of its 4, the third is stopped, and none is begun after", async () => {
    provider.plays(async (response, request) => {
      await new Promise((next) => setTimeout(next, 1500));
      const step = callsTool(`call_${provider.journal.length}`, "current_time", USAGE);
      if (!response.destroyed) await step(response, request);
    });
    const response = await chat({ stream: false, tools: ["current_time"], maxSteps: 9 });
    expect(await response.json()).toMatchObject({ steps: 2, finishReason: "upstream_error" });
    await calls(3);
    expect(provider.journal).toHaveLength(3);
  });

  it("and its hold lives 60 s longer", async () => {
    provider.plays(answers("Hello", USAGE));
    await (await chat({ stream: false })).text();
    const [call] = await calls(1);
    expect(call?.hold_seconds).toBeGreaterThanOrEqual(63);
    expect(call?.hold_seconds).toBeLessThanOrEqual(64);
  });
});

it("A request to a provider has a Content-Length, because some servers read nothing else", async () => {
  provider.plays(answers("Hello", USAGE));
  await (await chat({ stream: false })).text();
  const [request] = provider.journal;
  expect(Number(request?.headers["content-length"])).toBeGreaterThan(50);
  expect(request?.headers["transfer-encoding"]).toBeUndefined();
});

it("A worker that is about to end books what came, and leaves no hold", async () => {
  const ending = await startTestStack({ env: provider.env });
  try {
    const member = await ending.signUp();
    const { id } = await ending.createTenant({ members: [member] });
    provider.plays(async (response) => {
      beginStream(response);
      await goOn(response, textChunk("word "));
    });
    const response = await ending.call("/chat", { user: member, json: say() });
    const read = response.text().catch(() => "");
    await ending.services.functions.stop();
    await read;
    const [call] = await ending.sql`
      select status, is_estimated, actual_cost_usd < estimated_cost_usd as is_counted
      from spend.reservations where tenant_id = ${id}`;
    expect(call).toEqual({ status: "settled", is_estimated: true, is_counted: true });
  } finally {
    await ending.stop();
  }
});

it("No log has what users write and providers echo", async () => {
  const words = "my number is 123-45-6789";
  const echoes =
    (status: number): Script =>
    (response, { body }) => {
      response.writeHead(status, { "content-type": "application/json" });
      const message = `Invalid input: ${JSON.stringify(body.messages)} key sk-live-SECRETKEY`;
      response.end(JSON.stringify({ error: { message, type: "some_error" } }));
    };
  provider.plays(echoes(400), echoes(500));
  for (const _ of [400, 500]) await chat({ messages: [{ role: "user", content: words }] });
  const parts = [
    { type: "reasoning", text: words },
    { type: "text", text: "." },
  ];
  const history = [
    { id: "1", role: "assistant", parts },
    { id: "2", role: "user", parts: parts.slice(1) },
  ];
  await chat({ model: "openai/gpt-5-codex", messages: history });
  await calls(3);
  expect(stack.logs.join("\n")).not.toMatch(/123-45-6789|SECRETKEY/);
});

it("A setting that a model does not take prints no warning of the AI SDK, which is no JSON", async () => {
  provider.plays(answers("Hello", USAGE));
  const response = await chat({ model: "openai/o3", temperature: 0.3, stream: false });
  expect(response.status).toBe(200);
  expect(stack.logs.join("\n")).not.toContain("AI SDK Warning");
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
