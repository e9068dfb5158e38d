// Every attempt to call a model has a reservation of its own: steps, retries, fallbacks, repeated requests. When a
// provider exceeds the maximum output, the hold is extended or the call is stopped.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventsOf, say } from "../support/messages.ts";
import {
  answers,
  beginStream,
  callsTool,
  endStream,
  refuses,
  type Script,
  type ScriptedProvider,
  startScriptedProvider,
  textChunk,
  USAGE,
  USAGE_USD,
} from "../support/provider.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { endedCalls, limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

let provider: ScriptedProvider;
let anthropic: TestServer;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  provider = await startScriptedProvider();
  anthropic = await startServer((_, response) => {
    // Says at its start what the prompt counted, and goes on for ever.
    response.writeHead(200, { "content-type": "text/event-stream" });
    const event = (data: { type: string; [key: string]: unknown }) =>
      response.write(`event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`);
    const usage = { input_tokens: 100, cache_read_input_tokens: 2000, output_tokens: 1 };
    event({
      type: "message_start",
      message: { id: "m", type: "message", role: "assistant", model: "c", content: [], usage },
    });
    event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } });
    const delta = { type: "text_delta", text: "word " };
    const words = setInterval(() => event({ type: "content_block_delta", index: 0, delta }), 50);
    response.on("close", () => clearInterval(words));
  });
  stack = await startTestStack({
    provider,
    env: {
      ANTHROPIC_API_KEY: "local",
      ANTHROPIC_BASE_URL: `${anthropic.url}/v1`,
      SPENDGATE_MAX_RETRIES: "1",
      SPENDGATE_DISCONNECT_GRACE_MS: "200",
    },
  });
});
afterAll(async () => {
  await stack.stop();
  await anthropic.stop();
});
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  provider.journal.length = 0;
  provider.plays(answers("Hello", USAGE));
});

function chat(body: Record<string, unknown>, init: RequestInit = {}) {
  return stack.call("/chat", { user, json: { stream: false, ...say(), ...body }, ...init });
}

const calls = (count: number) => endedCalls(stack.sql, tenant.id, count);

describe("A call that its provider refuses", () => {
  it("is tried again, with a reservation of its own, where the provider says that this helps", async () => {
    provider.plays(refuses(503, { "retry-after": "0" }), answers("Hello", USAGE));
    expect((await chat({})).status).toBe(200);
    expect(await calls(2)).toMatchObject([
      { status: "released", cost: 0 },
      { status: "settled", cost: USAGE_USD },
    ]);
    expect(provider.journal).toHaveLength(2);
  });

  it("is not tried again where the provider says that it does not help", async () => {
    provider.plays(refuses(400), answers("Hello", USAGE));
    expect((await chat({})).status).toBe(502);
    expect(await calls(1)).toMatchObject([{ status: "released", cost: 0 }]);
  });

  it.each([true, false])("falls back to the next model (stream: %s)", async (stream) => {
    provider.plays(refuses(400), answers("Hello", USAGE));
    const response = await chat({ stream, model: "gpt-4o", fallbackModels: ["gpt-4o-mini"] });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("Hello");
    expect(provider.journal.map(({ body }) => body.model)).toEqual(["gpt-4o", "gpt-4o-mini"]);
    expect(await calls(2)).toMatchObject([
      { product: "gpt-4o", status: "released", cost: 0 },
      { product: "gpt-4o-mini", status: "settled", cost: USAGE_USD },
    ]);
  });
});

it("A call is made at the standard tier, whatever the provider's account has set", async () => {
  expect((await chat({})).status).toBe(200);
  expect(provider.journal[0]?.body.service_tier).toBe("default");
});

describe("An Idempotency-Key", () => {
  const keyed = (key: string, content = "Hello") =>
    chat(say(content), { headers: { "idempotency-key": key } });

  it("makes a request that is sent again call and book once", async () => {
    expect((await keyed("again")).status).toBe(200);
    await calls(1);
    const second = await keyed("again");
    expect(second.status).toBe(409);
    expect(await second.json()).toMatchObject({ error: "idempotency_conflict", status: "settled" });
    expect(await calls(1)).toMatchObject([{ cost: USAGE_USD }]);
    expect(provider.journal).toHaveLength(1);
  });

  it("makes ten requests at once call and book once", async () => {
    const statuses = await Promise.all(
      Array.from({ length: 10 }, async () => (await keyed("ten")).status),
    );
    expect(statuses.sort()).toEqual([200, ...Array(9).fill(409)]);
    await calls(1);
    expect(provider.journal).toHaveLength(1);
  });

  it("may be used again after a failure that cost nothing", async () => {
    provider.plays(refuses(400), answers("Hello", USAGE));
    expect((await keyed("failed")).status).toBe(502);
    await calls(1);
    expect((await keyed("failed")).status).toBe(200);
    expect(await calls(2)).toMatchObject([{ status: "released" }, { status: "settled" }]);
  });

  it("of another request is a 409, and one that is no key a 400", async () => {
    expect((await keyed("other")).status).toBe(200);
    expect((await keyed("other", "Something else, and longer")).status).toBe(409);
    expect((await keyed("x".repeat(300))).status).toBe(400);
    expect(provider.journal).toHaveLength(1);
  });
});

describe("A provider that ignores the limit of its output", () => {
  const WORDS = 2000;
  /** Says word after word, a call's limit or not; `WORDS` of them, then ends. */
  const babbles: Script = async (response) => {
    beginStream(response);
    for (let word = 0; word < WORDS && !response.destroyed; word++) {
      response.write(textChunk("and "));
      // As fast as a fast model.
      if (word % 10 === 0) await new Promise((next) => setTimeout(next, 10));
    }
    if (!response.destroyed) endStream(response, { prompt_tokens: 10, completion_tokens: WORDS });
  };
  const brief = { ...say(), stream: true, maxOutputTokens: 20 };

  it("has more held while the quota has room, and is booked exactly", async () => {
    provider.plays(babbles);
    const response = await chat(brief);
    expect(eventsOf(await response.text()).at(-1)).toMatchObject({ type: "finish" });
    const [call] = await calls(1);
    expect(call).toMatchObject({ status: "settled", is_estimated: false });
    expect(call?.cost).toBeCloseTo((10 * 0.15 + WORDS * 0.6) / 1e6, 12);
    // What was held covered what came: the last hold is the estimate.
    expect(call?.estimate).toBeGreaterThanOrEqual((WORDS * 0.6) / 1e6);
  });

  it.each([
    ["chat", "/chat", brief],
    [
      "the OpenAI endpoint",
      "/openai/chat/completions",
      { ...say(), model: "gpt-4o-mini", stream: true, max_tokens: 20 },
    ],
  ])("is stopped where the quota has no room: %s ends with the quota", async (_, path, json) => {
    provider.plays(babbles);
    // Room for what is held at first, some $0.00003, and 500 tokens more.
    const limit = 0.00035;
    await limitTo(stack.sql, tenant.id, limit);
    const response = await stack.call(path, { user, json });
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).toContain("quota_exceeded");
    expect(text).toContain("and ");

    const [call] = await calls(1);
    expect(call).toMatchObject({ status: "settled", is_estimated: true });
    await until("the provider is hung up on", () => provider.journal[0]?.aborted);
    // Over the limit by no more than was under way when it was refused.
    expect(call?.cost).toBeLessThan(limit + (100 * 0.6) / 1e6);
    expect(call?.cost).toBeGreaterThan(limit / 3);
    expect(provider.journal).toHaveLength(1);
    // Its extension was refused once, and the log says of which call.
    const refused = stack.logs.filter(
      (line) => line.includes('"refused"') && line.includes(tenant.id),
    );
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatch(
      /"event":"llm_call".*"reservationId":".*"reason":"(in_flight|exceeds_limit)"/,
    );
  });
});

describe("An agent", () => {
  const TOOLS = { tools: ["current_time"], maxSteps: 5, task: "agent:clock" };
  const runsFiveSteps = () =>
    provider.plays(
      ...[1, 2, 3, 4].map((step) => callsTool(`call_${step}`, "current_time", USAGE)),
      answers("It is late", USAGE),
    );

  it("takes five steps, each a call of its own", async () => {
    runsFiveSteps();
    const response = await chat(TOOLS);
    expect(await response.json()).toMatchObject({ text: "It is late", steps: 5 });
    const rows = await calls(5);
    for (const row of rows) expect(row).toMatchObject({ task: "agent:clock", cost: USAGE_USD });
  });

  it.each([true, false])(
    "whose fourth step is refused has three booked, and takes no fifth (stream: %s)",
    async (stream) => {
      runsFiveSteps();
      await chat(TOOLS);
      const fourth = (await calls(5))[3]?.estimate as number;
      // Room for three steps, and less than the fourth may cost.
      tenant = await stack.createTenant({ members: [user] });
      await limitTo(stack.sql, tenant.id, 3 * USAGE_USD + fourth - 0.000001);
      provider.journal.length = 0;
      runsFiveSteps();

      const response = await chat({ ...TOOLS, stream, tenantId: tenant.id });

      expect(response.status).toBe(200);
      const text = await response.text();
      expect(text).toContain("quota_exceeded");
      if (stream) {
        const parts = eventsOf(text);
        expect(parts.filter(({ type }) => type === "tool-output-available")).toHaveLength(3);
        expect(parts.find(({ type }) => type === "data-spendgate").data.calls).toHaveLength(3);
      } else {
        expect(JSON.parse(text)).toMatchObject({
          steps: 3,
          finishReason: "quota_exceeded",
          error: { error: "quota_exceeded", resourceType: "llm" },
        });
      }
      const rows = await calls(3);
      for (const row of rows) expect(row).toMatchObject({ status: "settled", cost: USAGE_USD });
      expect(provider.journal).toHaveLength(3);
    },
  );

  it("ends when its budget of tokens is used up", async () => {
    runsFiveSteps();
    const response = await chat({ ...TOOLS, maxTotalTokens: 2500 });
    expect(await response.json()).toMatchObject({ steps: 2 });
    await calls(2);
  });
});

it("A client that leaves pays for the prompt that the provider has reported, and for the words that came", async () => {
  const client = new AbortController();
  const response = await chat(
    { stream: true, model: "anthropic/claude-sonnet-4-5" },
    { signal: client.signal },
  );
  await response.body?.getReader().read();
  client.abort();
  const [call] = await calls(1);
  expect(call).toMatchObject({ status: "settled", is_estimated: true });
  // 100 × $3 + 2,000 cached × $0.30, and a few words × $15 per million; the bound was far more.
  const input = (100 * 3 + 2000 * 0.3) / 1e6;
  expect(call?.cost).toBeGreaterThan(input);
  expect(call?.cost).toBeLessThan(input + (100 * 15) / 1e6);
});

it("Ten streams at once on a quota with room for four: four finish, six are refused", async () => {
  await (await chat({ stream: true, maxOutputTokens: 1000 })).text();
  const estimate = (await calls(1))[0]?.estimate as number;
  tenant = await stack.createTenant({ members: [user] });
  await limitTo(stack.sql, tenant.id, estimate * 4.5);
  provider.journal.length = 0;
  let release = () => {};
  const released = new Promise<void>((done) => {
    release = done;
  });
  provider.plays(async (response) => {
    beginStream(response);
    response.write(textChunk("Hello"));
    await released;
    endStream(response, USAGE);
  });

  const responses = await Promise.all(
    Array.from({ length: 10 }, () =>
      chat({ stream: true, maxOutputTokens: 1000, tenantId: tenant.id }),
    ),
  );

  expect(responses.map(({ status }) => status).sort()).toEqual([
    ...Array(4).fill(200),
    ...Array(6).fill(429),
  ]);
  expect(provider.journal).toHaveLength(4);
  release();
  const texts = await Promise.all(responses.map((response) => response.text()));
  expect(texts.filter((text) => text.includes('"type":"finish"'))).toHaveLength(4);
  const rows = await calls(4);
  for (const row of rows) expect(row).toMatchObject({ status: "settled", cost: USAGE_USD });
  expect(await verifyBalances(stack.sql)).toEqual([]);
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
