// The OpenAI endpoint, as its clients see it: the official SDK with nothing but `baseURL` and the user's JWT, the
// AI SDK's openai-compatible provider, and plain fetch.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { say } from "../support/messages.ts";
import { callsOf, limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

const MODEL = "openai/gpt-4o-mini";
const EMBEDDING = "openai/text-embedding-3-small";

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

const ask = (content: string) => say(content).messages;

function answer(prompt: string, response: Record<string, unknown>, options = {}) {
  stack.mock.prependFixture({
    match: { userMessage: prompt },
    response: { usage: { prompt_tokens: 1000, completion_tokens: 500 }, ...response } as never,
    ...options,
  });
}

/** The tenant's calls, once there are some and none is held. */
async function ended() {
  return await until("the call is booked", async () => {
    const calls = await callsOf(stack.sql, tenant.id);
    return calls.length > 0 && calls.every(({ status }) => status !== "held") && calls;
  });
}

describe("The official SDK", () => {
  it("completes a chat, with its cost in the headers and in the ledger", async () => {
    answer("sdk chat", { content: "Hello." });

    const { data, response } = await openai.chat.completions
      .create({ model: MODEL, messages: ask("sdk chat"), max_tokens: 600 })
      .withResponse();

    expect(data).toMatchObject({
      object: "chat.completion",
      model: MODEL,
      choices: [{ message: { role: "assistant", content: "Hello." }, finish_reason: "stop" }],
      usage: { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 },
    });
    expect(response.headers.get("x-spendgate-cost-usd")).toBe("0.00045");
    expect(data.id).toBe(`chatcmpl-${response.headers.get("x-spendgate-reservation")}`);
    expect(await ended()).toMatchObject([
      { cost_usd: "0.000450000000", is_estimated: false, task: "chat" },
    ]);
    expect(stack.journal()[0]?.body).toMatchObject({ max_tokens: 600 });
  });

  it("takes max_completion_tokens, system messages and a bare model name", async () => {
    answer("bare name", { content: "Hi." });
    const completion = await openai.chat.completions.create({
      model: "gpt-4o-mini",
      max_completion_tokens: 50,
      messages: [{ role: "system", content: "Be short." }, ...ask("bare name")],
    });
    expect(completion.choices[0]?.message.content).toBe("Hi.");
    expect(stack.journal()[0]?.body).toMatchObject({ max_tokens: 50 });
  });

  it("streams, with the usage and the cost in the last chunk", async () => {
    answer("sdk stream", { content: "Hello from the stream." });

    const stream = await openai.chat.completions.create({
      model: MODEL,
      messages: ask("sdk stream"),
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);

    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")).toBe(
      "Hello from the stream.",
    );
    expect(chunks.flatMap((chunk) => chunk.choices[0]?.finish_reason ?? [])).toEqual(["stop"]);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 },
      spendgate: { calls: [{ costUsd: "0.00045", isEstimated: false }] },
    });
    expect(await ended()).toMatchObject([{ cost_usd: "0.000450000000" }]);
  });

  it.each([true, false])(
    "calls a tool and goes on with its answer (stream: %s)",
    async (stream) => {
      stack.mock.prependFixture({
        match: { userMessage: "weather", hasToolResult: false },
        response: {
          toolCalls: [{ id: "call_1", name: "weather", arguments: '{"city":"Cork"}' }],
          usage: { prompt_tokens: 100, completion_tokens: 20 },
        } as never,
      });
      stack.mock.prependFixture({
        match: { toolCallId: "call_1" },
        response: {
          content: "Rain.",
          usage: { prompt_tokens: 150, completion_tokens: 5 },
        } as never,
      });
      const tools = [
        {
          type: "function" as const,
          function: {
            name: "weather",
            parameters: { type: "object", properties: { city: { type: "string" } } },
          },
        },
      ];
      const messages: OpenAI.ChatCompletionMessageParam[] = ask("weather in Cork?");
      const runner = async () => {
        if (!stream) {
          return (await openai.chat.completions.create({ model: MODEL, messages, tools }))
            .choices[0];
        }
        return (
          await openai.chat.completions
            .stream({ model: MODEL, messages, tools })
            .finalChatCompletion()
        ).choices[0];
      };

      const first = await runner();
      expect(first).toMatchObject({
        finish_reason: "tool_calls",
        message: {
          tool_calls: [
            {
              id: "call_1",
              type: "function",
              function: { name: "weather", arguments: '{"city":"Cork"}' },
            },
          ],
        },
      });
      messages.push(first?.message as OpenAI.ChatCompletionMessageParam, {
        role: "tool",
        tool_call_id: "call_1",
        content: "rain",
      });
      expect((await runner())?.message.content).toBe("Rain.");
      // 100 × 0.15 + 20 × 0.60, and 150 × 0.15 + 5 × 0.60, per million.
      expect((await ended()).map((row) => row.cost_usd)).toEqual([
        "0.000027000000",
        "0.000025500000",
      ]);
    },
  );

  it("embeds texts", async () => {
    stack.mock.prependFixture({
      match: { inputText: "embed me", endpoint: "embedding" },
      response: { embedding: [0.5, -0.25, 0.125] } as never,
    });
    const { data, response } = await openai.embeddings
      .create({ model: EMBEDDING, input: ["embed me", "and embed me too"] })
      .withResponse();

    expect(data.data.map(({ embedding }) => embedding)).toEqual([
      [0.5, -0.25, 0.125],
      [0.5, -0.25, 0.125],
    ]);
    const rows = await ended();
    expect(rows).toMatchObject([{ task: "embeddings" }]);
    expect(response.headers.get("x-spendgate-reservation")).toBeTruthy();
    expect(stack.journal()).toHaveLength(1);
  });

  it("lists models that have a price, and retrieves one", async () => {
    const ids = [];
    for await (const model of openai.models.list()) ids.push(model.id);
    expect(ids).toContain(MODEL);
    expect(ids).toContain("anthropic/claude-sonnet-4-5");
    expect(ids).not.toContain("groq/llama-3.1-8b-instant");
    expect(new Set(ids).size).toBe(ids.length);
    expect((await openai.models.retrieve(MODEL)).owned_by).toBe("openai");
    await expect(openai.models.retrieve("openai/unheard-of")).rejects.toBeInstanceOf(
      OpenAI.NotFoundError,
    );
  });

  it("sends the work's attribution in headers", async () => {
    const other = await stack.createTenant({ members: [user] });
    const attributed = openai.withOptions({
      defaultHeaders: {
        "x-spendgate-tenant": tenant.id,
        "x-spendgate-task": "agent:writer",
        "x-spendgate-conversation": "c-1",
      },
    });
    await attributed.chat.completions.create({ model: MODEL, messages: ask("attributed") });
    expect(await ended()).toMatchObject([{ task: "agent:writer", conversation_id: "c-1" }]);
    const [{ count }] = (await stack.sql`
      select count(*)::int from spend.reservations where tenant_id = ${other.id}`) as never as [
      { count: number },
    ];
    expect(count).toBe(0);
  });
});

describe("Errors reach the SDK", () => {
  const create = (options: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> = {}) =>
    openai.chat.completions.create({ model: MODEL, messages: ask("Hello"), ...options });
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error) => error,
    );

  it("as a 401 AuthenticationError", async () => {
    openai = openai.withOptions({ apiKey: "nonsense" });
    expect(await failure(create())).toBeInstanceOf(OpenAI.AuthenticationError);
  });

  it("as a 400 BadRequestError that names the parameter", async () => {
    const error = await failure(create({ temperature: 3 }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ param: "temperature", code: "invalid_request" });
    for (const wrong of [
      { logprobs: true },
      { n: 2 },
      { max_tokens: 0 },
      { service_tier: "priority" as const },
      { messages: [{ role: "god", content: "x" }] as never },
      { model: "nobody/model" },
    ]) {
      expect(await failure(create(wrong))).toBeInstanceOf(OpenAI.BadRequestError);
    }
    expect(stack.journal()).toHaveLength(0);
  });

  it("as a 403 PermissionDeniedError for another tenant", async () => {
    const other = await stack.createTenant();
    openai = openai.withOptions({ defaultHeaders: { "x-spendgate-tenant": other.id } });
    expect(await failure(create())).toBeInstanceOf(OpenAI.PermissionDeniedError);
  });

  it("as a 404 NotFoundError for a path that is not there", async () => {
    expect(await failure(openai.get("/assistants"))).toBeInstanceOf(OpenAI.NotFoundError);
  });

  it("as a 422 UnprocessableEntityError for a model without a price", async () => {
    const error = await failure(create({ model: "openai/unheard-of" }));
    expect(error).toBeInstanceOf(OpenAI.UnprocessableEntityError);
    expect(error).toMatchObject({ code: "unpriced_product" });
    expect(stack.journal()).toHaveLength(0);
  });

  it.each([true, false])(
    "as a 429 RateLimitError of type quota_exceeded, without a retry that cannot help (stream: %s)",
    async (stream) => {
      await limitTo(stack.sql, tenant.id, 0.001);
      const error = await failure(create({ stream } as never));
      expect(error).toBeInstanceOf(OpenAI.RateLimitError);
      expect(error).toMatchObject({
        type: "quota_exceeded",
        code: "quota_exceeded",
        error: { quotaDetails: { scope: "tenant", limitUsd: 0.001 }, retryAfter: null },
      });
      expect((error as { headers: Headers }).headers.get("ratelimit-policy")).toBe(
        '"tenant-llm-month";q=0;qu="usd-cents"',
      );
      expect(stack.journal()).toHaveLength(0);
    },
  );

  it("after it has retried by Retry-After, when open calls hold what is left, until it succeeds", async () => {
    const usage = {
      provider: "openai",
      model: "gpt-4o-mini",
      input_tokens: 0,
      output_tokens: 16_000,
    };
    await limitTo(stack.sql, tenant.id, 0.0105);
    const [held] = await stack.sql`
      select * from spend.reserve(${tenant.id}, ${user.id}, 'llm', ${stack.sql.json(usage)})`;
    expect(held?.allowed).toBe(true);
    let tries = 0;
    openai = openai.withOptions({
      fetch: async (url, init) => {
        tries += 1;
        const response = await fetch(url, init);
        if (response.status === 429) {
          expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
          await stack.sql`select spend.release(${held?.reservation_id})`;
        }
        // The wait itself is the SDK's own; a short one keeps this test short.
        const headers = new Headers(response.headers);
        if (headers.has("retry-after")) headers.set("retry-after", "1");
        return new Response(response.body, { status: response.status, headers });
      },
    });

    const completion = await create({ max_tokens: 10_000 });

    expect(completion.object).toBe("chat.completion");
    expect(tries).toBe(2);
  });

  it("as a 502 InternalServerError when the provider fails, and nothing is booked", async () => {
    stack.mock.prependFixture({
      match: { userMessage: "always broken" },
      response: { error: { message: "boom" }, status: 500 } as never,
    });
    openai = openai.withOptions({ maxRetries: 0 });
    const error = await failure(create({ messages: ask("always broken") }));
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error).toMatchObject({ status: 502, code: "upstream_error" });
    expect(await ended()).toMatchObject([{ status: "released", cost_usd: null }]);
  });

  it("as an APIError when a stream breaks off", async () => {
    answer(
      "breaks off",
      { content: "word ".repeat(40) },
      { truncateAfterChunks: 8, streamingProfile: { ttft: 10, tps: 100 } },
    );
    const stream = await openai.chat.completions.create({
      model: MODEL,
      messages: ask("breaks off"),
      stream: true,
    });
    const error = await failure(
      (async () => {
        for await (const _ of stream);
      })(),
    );
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(await ended()).toMatchObject([{ status: "settled", is_estimated: true }]);
  });
});

const isMissing = (error: { code?: unknown }) => error.code === "ENOENT";

describe("The OpenAI endpoint serves", () => {
  it("the AI SDK's openai-compatible provider", async () => {
    answer("ai sdk", { content: "Hello." });
    const provider = createOpenAICompatible({
      name: "spendgate",
      baseURL: `${stack.url}/functions/v1/openai`,
      apiKey: user.jwt,
    });
    const { text, usage } = await generateText({ model: provider(MODEL), prompt: "ai sdk" });
    expect(text).toBe("Hello.");
    expect(usage).toMatchObject({ inputTokens: 1000, outputTokens: 500 });
  });

  it("plain fetch, with server-sent events, the cost in a comment, [DONE] at the end, and CORS", async () => {
    answer("plain", { content: "Hello." });
    const response = await stack.call("/openai/chat/completions", {
      user,
      json: { model: MODEL, messages: ask("plain"), stream: true },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("x-spendgate-reservation")).toBeTruthy();
    const events = (await response.text()).trim().split("\n\n");
    expect(events.at(-1)).toBe("data: [DONE]");
    expect(JSON.parse((events.at(-2) as string).slice(2))).toMatchObject({
      spendgate: { calls: [{ costUsd: "0.00045" }] },
    });
  });

  it("curl", async (context) => {
    const curl = async (...args: string[]) => {
      const { stdout } = await promisify(execFile)("curl", [
        "--silent",
        "--no-buffer",
        ...["--header", `Authorization: Bearer ${user.jwt}`],
        ...["--header", "Content-Type: application/json"],
        ...["--write-out", "\n%{http_code} %header{retry-after}"],
        `${stack.url}/functions/v1/openai/chat/completions`,
        ...args,
      ]);
      return stdout;
    };
    if (await curl("--version").then(() => false, isMissing)) {
      context.skip("there is no curl on this machine");
    }
    answer("by hand", { content: "Hello." });
    const body = { model: MODEL, messages: ask("by hand"), stream: true };

    const streamed = await curl("--data", JSON.stringify(body));
    expect(streamed).toMatch(/^data: \{.*"content":"Hello\."/s);
    expect(streamed).toMatch(/data: \[DONE\]\s+200 $/);
    await ended();

    await stack.sql`
      update spend.cost_quotas set limit_usd = 0.001, period = 'day'
      where tenant_id = ${tenant.id} and resource_type = 'llm'`;
    await stack.service.rpc("adjust", {
      tenant_id: tenant.id,
      amount_usd: 0.001,
      reason: "used up",
    });
    const refused = await curl("--data", JSON.stringify({ ...body, stream: false, max_tokens: 1 }));
    expect(refused).toMatch(/"type":"quota_exceeded".*\n429 \d+$/s);
  });

  it("a browser's preflight with the SDK's headers", async () => {
    const response = await stack.call("/openai/chat/completions", {
      method: "OPTIONS",
      headers: { "access-control-request-headers": "authorization,x-stainless-lang" },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-headers")).toContain("x-stainless-lang");
  });

  it.each([
    ["anthropic/claude-sonnet-4-5", "/v1/messages"],
    ["google/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash"],
  ])("%s by the same wire", async (model, path) => {
    const completion = await openai.chat.completions.create({ model, messages: ask("any") });
    expect(completion.choices[0]?.message.content).toContain("any");
    expect(stack.journal()[0]?.path).toContain(path);
    expect(await ended()).toMatchObject([{ is_estimated: false }]);
  });
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
