// What reaches a provider of what an OpenAI client sends, and what reaches the client of what a provider answers.
import type { ServerResponse } from "node:http";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventsOf } from "../support/messages.ts";
import {
  answers,
  beginStream,
  type Script,
  type ScriptedProvider,
  sse,
  startScriptedProvider,
  textChunk,
  USAGE,
} from "../support/provider.ts";
import { verifyBalances } from "../support/spend.ts";
import { startTestStack, type TestStack, type TestUser } from "../support/stack.ts";
import { until } from "../support/until.ts";

const GPT = "openai/gpt-4o-mini";
const CLAUDE = "anthropic/claude-sonnet-4-5";
const GEMINI = "google/gemini-2.5-flash";
const DEEPSEEK = "deepseek/deepseek-chat";

let provider: ScriptedProvider;
let stack: TestStack;
let member: TestUser;
let openai: OpenAI;

beforeAll(async () => {
  provider = await startScriptedProvider();
  const url = provider.env.OPENAI_BASE_URL as string;
  stack = await startTestStack({
    provider,
    env: {
      ...provider.othersEnv,
      SPENDGATE_PROVIDERS: JSON.stringify({ deepseek: { baseUrl: url }, groq: { baseUrl: url } }),
    },
  });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  member = await stack.signUp();
  await stack.createTenant({ members: [member] });
  provider.journal.length = 0;
  openai = new OpenAI({ baseURL: `${stack.url}/functions/v1/openai`, apiKey: member.jwt });
});

const json =
  (body: object, status = 200, headers = {}): Script =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };
const streams =
  (...chunks: string[]): Script =>
  (response: ServerResponse) => {
    beginStream(response);
    for (const chunk of chunks) response.write(chunk);
    response.end();
  };
const event = (data: { type?: string; [field: string]: unknown }) =>
  `${data.type ? `event: ${data.type}\n` : ""}data: ${JSON.stringify(data)}\n\n`;

const claudeSays = (...content: object[]) =>
  json({
    ...{ id: "msg_1", type: "message", role: "assistant", model: "claude-sonnet-4-5", content },
    ...{ stop_reason: "end_turn", stop_sequence: null },
    usage: { input_tokens: 1000, output_tokens: 500 },
  });
const geminiSays = (parts: object[], finishReason = "STOP") =>
  json({
    candidates: [{ content: { role: "model", parts }, finishReason }],
    usageMetadata: { promptTokenCount: 1000, candidatesTokenCount: 500, totalTokenCount: 1500 },
  });
const ANSWER: Record<string, Script> = {
  [GPT]: answers("Hi", USAGE),
  [DEEPSEEK]: answers("Hi", USAGE),
  [CLAUDE]: claudeSays({ type: "text", text: "Hi" }),
  [GEMINI]: geminiSays([{ text: "Hi" }]),
};

interface Sent {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what the tests are about.
  body: any;
  /** What the provider got. */
  upstream: Record<string, unknown>;
}

async function send(model: string, fields: object, script = ANSWER[model]): Promise<Sent> {
  if (script) provider.plays(script);
  const response = await stack.call("/openai/chat/completions", {
    user: member,
    json: { model, messages: [{ role: "user", content: "Hello" }], ...fields },
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text.startsWith("{") ? JSON.parse(text) : { text },
    upstream: (provider.journal.at(-1)?.body ?? {}) as never,
  };
}

/** The events of a stream, parsed; comments and `[DONE]` as they are. */
async function stream(model: string, script: Script, fields = {}) {
  const { body, status } = await send(model, { stream: true, ...fields }, script);
  expect(status).toBe(200);
  const events = (body.text as string).trim().split("\n\n");
  const chunks = eventsOf(body.text);
  return { events, chunks, isDone: events.at(-1) === "data: [DONE]" };
}

describe("A stream that the provider cuts ends with an error and without [DONE]", () => {
  const claudeBegins = event({
    type: "message_start",
    message: {
      ...{ id: "msg_1", type: "message", role: "assistant", model: "claude-sonnet-4-5" },
      ...{ content: [], stop_reason: null, usage: { input_tokens: 10, output_tokens: 1 } },
    },
  });
  const claudeWord =
    event({
      type: "content_block_start",
      index: 0,
      content_block: { type: "text", text: "" },
    }) +
    event({
      type: "content_block_delta",
      index: 0,
      delta: { type: "text_delta", text: "Hel" },
    });
  const geminiWord = event({
    candidates: [{ content: { role: "model", parts: [{ text: "Hel" }] } }],
  });

  it.each([
    ["OpenAI", GPT, [textChunk("Hel")]],
    ["a compatible provider", DEEPSEEK, [textChunk("Hel")]],
    ["Anthropic", CLAUDE, [claudeBegins, claudeWord]],
    ["Gemini", GEMINI, [geminiWord]],
  ])("from %s", async (_, model, chunks) => {
    const { chunks: got, events, isDone } = await stream(model, streams(...chunks));
    const errors = got.filter((chunk) => chunk.error);
    expect(errors).toMatchObject([{ error: { code: "upstream_error" } }]);
    expect(got.flatMap((chunk) => chunk.choices?.[0]?.finish_reason ?? [])).toEqual([]);
    expect(isDone).toBe(false);
    expect(events.at(-1)).toMatch(/^: {"spendgate"/);
  });

  it("which OpenAI's SDK throws as APIError, with the words that came", async () => {
    provider.plays(streams(textChunk("Hel")));
    const words: string[] = [];
    const reading = (async () => {
      const chunks = await openai.chat.completions.create({
        ...{ model: GPT, stream: true, messages: [{ role: "user", content: "Hello" }] },
      });
      for await (const chunk of chunks) words.push(chunk.choices[0]?.delta.content ?? "");
    })();
    await expect(reading).rejects.toBeInstanceOf(OpenAI.APIError);
    expect(words.join("")).toBe("Hel");
  });
});

describe("The reason why an answer ends is the provider's", () => {
  const ends = (reason: string) =>
    streams(
      textChunk("Hel"),
      sse({ choices: [{ index: 0, delta: {}, finish_reason: reason }] }),
      sse({ choices: [], usage: USAGE }),
      "data: [DONE]\n\n",
    );
  it.each([
    ["stop", "stop"],
    ["eos", "stop"],
    ["length", "length"],
    ["content_filter", "content_filter"],
    ["repetition", "other"],
  ])("so a compatible provider's %s is %s", async (raw, reason) => {
    const { chunks, isDone } = await stream(DEEPSEEK, ends(raw));
    expect(chunks.flatMap((chunk) => chunk.choices[0]?.finish_reason ?? [])).toEqual([reason]);
    expect(isDone).toBe(true);
  });

  it.each(["error", "insufficient_system_resource"])(
    "but %s is an error in the stream",
    async (raw) => {
      const { chunks, isDone } = await stream(DEEPSEEK, ends(raw));
      expect(chunks.at(-1)).toMatchObject({
        error: { code: "upstream_error", upstream: { code: raw } },
      });
      expect(isDone).toBe(false);
    },
  );

  it("but Gemini's MALFORMED_FUNCTION_CALL is a 502 that is not to be sent again, with its cost", async () => {
    const answer = await send(GEMINI, {}, geminiSays([], "MALFORMED_FUNCTION_CALL"));
    expect(answer).toMatchObject({ status: 502, body: { error: { code: "upstream_error" } } });
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(answer.headers.get("x-spendgate-reservation")).toBeTruthy();
  });
});

describe("A tool without arguments has an empty object for them", () => {
  const tools = [{ type: "function", function: { name: "now" } }];
  const argumentsIn = (chunks: { choices: { delta: { tool_calls?: never } }[] }[]) =>
    chunks
      .flatMap((chunk) => (chunk.choices?.[0]?.delta.tool_calls ?? []) as never[])
      .map((call: { function?: { arguments?: string } }) => call.function?.arguments ?? "")
      .join("");

  it.each(["", null])("when they are streamed as %j", async (none) => {
    const call = {
      index: 0,
      id: "call_1",
      type: "function",
      function: { name: "now", arguments: none },
    };
    const { chunks } = await stream(
      DEEPSEEK,
      streams(
        sse({ choices: [{ index: 0, delta: { tool_calls: [call] } }] }),
        sse({ choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] }),
        sse({ choices: [], usage: USAGE }),
        "data: [DONE]\n\n",
      ),
      { tools },
    );
    expect(argumentsIn(chunks)).toBe("{}");
    expect(chunks.flatMap((chunk) => chunk.choices[0]?.finish_reason ?? [])).toEqual([
      "tool_calls",
    ]);
  });

  it("when Claude streams", async () => {
    const { chunks } = await stream(
      CLAUDE,
      streams(
        event({
          type: "message_start",
          message: {
            ...{ id: "msg_1", type: "message", role: "assistant", model: "claude-sonnet-4-5" },
            ...{ content: [], stop_reason: null, usage: { input_tokens: 10, output_tokens: 1 } },
          },
        }),
        event({
          type: "content_block_start",
          index: 0,
          content_block: { type: "tool_use", id: "toolu_1", name: "now", input: {} },
        }),
        event({ type: "content_block_stop", index: 0 }),
        event({
          type: "message_delta",
          delta: { stop_reason: "tool_use" },
          usage: { output_tokens: 5 },
        }),
        event({ type: "message_stop" }),
      ),
      { tools },
    );
    expect(argumentsIn(chunks)).toBe("{}");
  });

  it("when the answer is not streamed", async () => {
    const call = { id: "call_1", type: "function", function: { name: "now", arguments: "" } };
    const message = { role: "assistant", content: null, tool_calls: [call] };
    const choices = [{ index: 0, message, finish_reason: "tool_calls" }];
    const { body } = await send(GPT, { tools }, json({ id: "1", choices, usage: USAGE }));
    expect(body).toMatchObject({
      choices: [{ message: { tool_calls: [{ function: { arguments: "{}" } }] } }],
    });
  });
});

describe("Fields reach the provider that takes them", () => {
  const schema = { type: "object", properties: { a: { type: "string" } } };
  const format = (strict?: boolean | null) => ({
    response_format: { type: "json_schema", json_schema: { name: "x", schema, strict } },
  });
  const identity = {
    user: "u-1",
    safety_identifier: "s-1",
    prompt_cache_key: "k-1",
    metadata: { team: "blue" },
    parallel_tool_calls: false,
    verbosity: "low",
    tools: [{ type: "function", function: { name: "now" } }],
  };
  it.each([GPT, DEEPSEEK])("of the request, at %s", async (model) => {
    const { upstream, headers, status } = await send(model, identity);
    expect(status).toBe(200);
    const { tools, ...fields } = identity;
    expect(upstream).toMatchObject(fields);
    expect(headers.get("x-spendgate-warnings")).toBeNull();
  });

  it("of the request, at Claude, which has an id of the user and no more, as the answer says", async () => {
    const { upstream, headers } = await send(CLAUDE, { ...identity, tool_choice: "auto" });
    expect(upstream).toMatchObject({
      metadata: { user_id: "s-1" },
      tool_choice: { disable_parallel_tool_use: true },
    });
    expect(headers.get("x-spendgate-warnings")).toBe("metadata, prompt_cache_key, verbosity");
  });

  it.each([
    [GPT, false, false],
    [GPT, undefined, false],
    [GPT, true, true],
    [DEEPSEEK, false, false],
    [DEEPSEEK, null, false],
  ])("of %s: strict %j goes out as %j", async (model, strict, sent) => {
    const { upstream } = await send(model, format(strict));
    expect(upstream).toMatchObject({ response_format: { json_schema: { strict: sent } } });
  });

  it("of parts and tools, with cache_control, at Claude", async () => {
    const cache_control = { type: "ephemeral", ttl: "1h" };
    const { upstream } = await send(CLAUDE, {
      messages: [
        {
          role: "system",
          content: [
            { type: "text", text: "Long.", cache_control },
            { type: "text", text: "Short." },
          ],
        },
        { role: "user", content: [{ type: "text", text: "Hello", cache_control }] },
      ],
      tools: [{ type: "function", function: { name: "now" }, cache_control }],
    });
    expect(upstream).toMatchObject({
      system: [{ text: "Long.", cache_control }, { text: "Short." }],
      messages: [{ content: [{ text: "Hello", cache_control }] }],
      tools: [{ name: "now", cache_control }],
    });
  });

  it("of parts, with cache_control, at a compatible provider in the parts", async () => {
    const cache_control = { type: "ephemeral" };
    const part = { type: "text", text: "Hello", cache_control };
    const { upstream } = await send(DEEPSEEK, {
      messages: [
        { role: "system", content: [{ ...part, text: "Long." }] },
        { role: "user", content: [part] },
        { role: "user", content: [part, { type: "text", text: "More." }] },
      ],
    });
    expect(upstream.messages).toMatchObject([
      { role: "system", content: [{ type: "text", text: "Long.", cache_control }] },
      { role: "user", content: [part] },
      { role: "user", content: [part, { type: "text", text: "More." }] },
    ]);
  });

  it("of messages, with names and the reasoning of earlier turns", async () => {
    const messages = [
      { role: "user", name: "ann", content: "Hello" },
      { role: "assistant", content: "Hi", reasoning_content: "She greets." },
      { role: "user", content: "Go on" },
    ];
    const compatible = await send(DEEPSEEK, { messages });
    expect(compatible.upstream.messages).toMatchObject(messages);
    const own = await send(GPT, { messages });
    expect(own.upstream.messages).toMatchObject([{ name: "ann" }, { content: "Hi" }, {}]);
    expect(own.headers.get("x-spendgate-warnings")).toBe("messages.reasoning_content");
    const strict = await send("groq/llama-3.1-8b-instant", { messages }, answers("Hi", USAGE));
    expect(JSON.stringify(strict.upstream)).not.toContain("She greets.");
  });

  it("and what a provider cannot do is named in x-spendgate-warnings, streamed or not", async () => {
    const fields = {
      seed: 1,
      frequency_penalty: 1,
      temperature: 1.5,
      response_format: { type: "json_object" },
    };
    const { headers } = await send(CLAUDE, fields);
    const names = "frequency_penalty, response_format, seed, temperature";
    expect(headers.get("x-spendgate-warnings")).toBe(names);
    expect(headers.get("access-control-expose-headers")).toContain("x-spendgate-warnings");
    const o3 = await send("openai/o3", { temperature: 0.5, stream: true }, answers("Hi", USAGE));
    expect(o3.headers.get("x-spendgate-warnings")).toBe("temperature");
  });

  it("and an image at an https: address has a type for Gemini", async () => {
    const content = (url: string) => [{ type: "image_url", image_url: { url } }];
    for (const [url, mimeType] of [
      ["https://x.example/a.PNG?b=1", "image/png"],
      ["https://x.example/a", "image/jpeg"],
    ] as const) {
      const messages = [{ role: "user", content: content(url) }];
      const { status, upstream } = await send(GEMINI, { messages });
      expect(status).toBe(200);
      expect(JSON.stringify(upstream)).toContain(mimeType);
    }
  });

  it("and a history whose tool arguments were cut off is taken", async () => {
    const call = (args: string) => ({
      id: "c1",
      type: "function",
      function: { name: "now", arguments: args },
    });
    for (const [cut, sent] of [
      ['{"city":"Co', '{"city":"Co"}'],
      ['{"a', "{}"],
      ["nonsense", "{}"],
    ] as const) {
      const { status, upstream } = await send(GPT, {
        messages: [
          { role: "user", content: "Hello" },
          { role: "assistant", content: null, tool_calls: [call(cut)] },
          { role: "tool", tool_call_id: "c1", content: "error" },
        ],
      });
      expect(status).toBe(200);
      expect(upstream.messages).toMatchObject([{}, { tool_calls: [call(sent)] }, {}]);
    }
  });

  it("and null is a value that is not set, so that a message of OpenAI's SDK goes back as it came", async () => {
    const unset = [
      "tools",
      "tool_choice",
      "response_format",
      "logit_bias",
      "top_logprobs",
      "audio",
    ];
    const { status } = await send(GPT, {
      ...Object.fromEntries(unset.map((field) => [field, null])),
      stream_options: null,
      logprobs: false,
      messages: [
        { role: "user", content: "Hello", name: null },
        {
          ...{ role: "assistant", content: "Hi", refusal: null, annotations: [], audio: null },
          ...{ function_call: null, tool_calls: null, parsed: null },
        },
        { role: "user", content: "Go on" },
      ],
    });
    expect(status).toBe(200);
    const tools = [
      { type: "function", function: { name: "a", description: null, parameters: null } },
    ];
    expect((await send(GPT, { tools })).status).toBe(200);
  });
});

describe("An unknown field is refused with its path before anything is held", () => {
  const text = { type: "text", text: "Hello" };
  const user = (...content: object[]) => ({ messages: [{ role: "user", content }] });
  it.each([
    [{ logprobs: true }, "logprobs"],
    [{ prediction: { type: "content", content: "x" } }, "prediction"],
    [{ functions: [] }, "functions"],
    [{ stream_options: { chunk: 1 } }, "stream_options.chunk"],
    [user({ ...text, detail: "low" }), "messages.0.content.0.detail"],
    [
      user(text, { ...text, cache_control: { type: "x" } }),
      "messages.0.content.1.cache_control.type",
    ],
    [user({ type: "input_audio", input_audio: {} }), "messages.0.content.0.type"],
    [user({ type: "file", file: { file_id: "file_1" } }), "messages.0.content.0.file.file_data"],
    [{ messages: [{ role: "user", content: "x", cache_control: {} }] }, "messages.0.cache_control"],
    [
      {
        messages: [
          { role: "assistant", content: null, function_call: { name: "f", arguments: "" } },
        ],
      },
      "messages.0.function_call",
    ],
    [{ tools: [{ type: "function", function: { name: "f" }, eager: 1 }] }, "tools.0.eager"],
    [{ response_format: { type: "json_object", x: 1 } }, "response_format.x"],
    [
      user({ type: "image_url", image_url: { url: "https://[" } }),
      "messages.0.content.0.image_url.url",
    ],
    [
      user({ type: "image_url", image_url: { url: "http://x.y/a" } }),
      "messages.0.content.0.image_url.url",
    ],
    [
      user({ type: "image_url", image_url: { url: "data:image/png;base64,@@@" } }),
      "messages.0.content.0.image_url.url",
    ],
    [
      user({ type: "file", file: { file_data: "data:application/pdf;base64,AAAAA" } }),
      "messages.0.content.0.file.file_data",
    ],
    [{ model: "openai/gpt\u0000" }, "model"],
  ])("as in %j", async (fields, param) => {
    const { status, body } = await send(GPT, fields);
    expect(body).toMatchObject({ error: { code: "invalid_request", param } });
    expect(status).toBe(400);
    expect(provider.journal).toHaveLength(0);
  });

  it("as in a header that cannot be a name", async () => {
    const response = await stack.call("/openai/chat/completions", {
      user: member,
      headers: { "x-spendgate-task": "x".repeat(201) },
      json: { model: GPT, messages: [{ role: "user", content: "Hello" }] },
    });
    expect(await response.json()).toMatchObject({ error: { param: "x-spendgate-task" } });
    expect(response.status).toBe(400);
  });
});

describe("What is not served here is refused with words that say what to do", () => {
  it.each([
    [{ n: 2 }, "n", "send 1, and ask again"],
    [{ store: true }, "store", "send false, or leave it out"],
    [{ logprobs: true }, "logprobs", "leave it out"],
    [{ tools: [{ type: "custom", function: { name: "f" } }] }, "tools.0.type", "Send functions."],
    [{ stop: 5 }, "stop", "expected string, or array"],
    [
      { tool_choice: "maybe" },
      "tool_choice",
      'expected one of "none"|"auto"|"required", or object',
    ],
    [
      { messages: [{ role: "user", content: 5 }] },
      "messages.0.content",
      "expected string, or array",
    ],
    [{ model: "openai/" }, "model", "Write provider/model."],
  ])("as in %j", async (fields, param, words) => {
    const { status, body } = await send(GPT, fields);
    expect(body).toMatchObject({
      error: { param, issues: [{ path: param, message: expect.stringContaining(words) }] },
    });
    expect(status).toBe(400);
    expect(provider.journal).toHaveLength(0);
  });
});

describe("A provider that refuses", () => {
  const refusal = (status: number, error: object, headers = {}) => json({ error }, status, headers);
  it.each([true, false])(
    "the request gives a 400 with its code, and is asked once (stream: %s)",
    async (stream) => {
      provider.plays(
        refusal(400, {
          message: "This model's maximum context length is 128000 tokens.",
          ...{ type: "invalid_request_error", param: "messages", code: "context_length_exceeded" },
        }),
      );
      const error = await openai.chat.completions
        .create({ model: GPT, stream, messages: [{ role: "user", content: "Hello" }] })
        .then(
          () => undefined,
          (thrown) => thrown,
        );
      expect(error).toBeInstanceOf(OpenAI.BadRequestError);
      expect(error).toMatchObject({
        ...{ code: "context_length_exceeded", param: "messages", type: "invalid_request_error" },
        message: "400 This model's maximum context length is 128000 tokens.",
      });
      expect(provider.journal).toHaveLength(1);
    },
  );

  it("the key gives a 502 with its code, and is asked once", async () => {
    provider.plays(
      refusal(401, { message: "Incorrect API key provided: sk-1", code: "invalid_api_key" }),
    );
    const error = await openai.models.list().then(() =>
      openai.chat.completions
        .create({ model: GPT, messages: [{ role: "user", content: "x" }] })
        .then(
          () => undefined,
          (thrown) => thrown,
        ),
    );
    expect(error).toMatchObject({ status: 502, error: { upstream: { code: "invalid_api_key" } } });
    expect(JSON.stringify(error)).not.toContain("sk-1");
    expect(provider.journal).toHaveLength(1);
  });

  it("for now gives a 503 with Retry-After", async () => {
    const busy = refusal(
      429,
      { message: "Slow down", code: "rate_limit_exceeded" },
      { "retry-after": "7" },
    );
    const { status, headers, body } = await send(GPT, {}, busy);
    expect(status).toBe(503);
    expect(headers.get("retry-after")).toBe("7");
    expect(headers.get("x-should-retry")).toBe("true");
    expect(body).toMatchObject({ error: { retryAfter: 7, upstream: { status: 429 } } });
  });
});

describe("An answer has what the model gave", () => {
  const url = "data:image/png;base64,iVBORw0KGgo=";
  const image = { type: "image_url", index: 0, image_url: { url } };
  it("as Gemini's images, streamed or not, and back again in the history", async () => {
    const parts = [
      { text: "Here" },
      { inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } },
    ];
    const whole = await send(GEMINI, {}, geminiSays(parts));
    expect(whole.body).toMatchObject({
      choices: [{ message: { content: "Here", images: [image] } }],
    });
    const chunk = event({
      candidates: [{ content: { role: "model", parts }, finishReason: "STOP" }],
      usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 },
    });
    const { chunks } = await stream(GEMINI, streams(chunk));
    expect(chunks.flatMap(({ choices }) => choices[0]?.delta.images ?? [])).toEqual([image]);
    const messages = [
      { role: "user", content: "Draw" },
      { role: "assistant", content: "Here", images: [image] },
      { role: "user", content: "Bluer" },
    ];
    const { upstream } = await send(GEMINI, { messages });
    expect(JSON.stringify(upstream)).toContain("iVBORw0KGgo=");
  });

  it("as Gemini's images in a chat that does not stream", async () => {
    provider.plays(geminiSays([{ inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } }]));
    const response = await stack.call("/chat", {
      user: member,
      json: { model: GEMINI, stream: false, messages: [{ role: "user", content: "Draw" }] },
    });
    expect(await response.json()).toMatchObject({
      files: [{ type: "file", mediaType: "image/png", url }],
    });
  });

  it("as a compatible provider's images, streamed or not", async () => {
    const message = { role: "assistant", content: "Here", images: [image] };
    const choices = [{ index: 0, message, finish_reason: "stop" }];
    const whole = await send(DEEPSEEK, {}, json({ id: "1", choices, usage: USAGE }));
    expect(whole.body).toMatchObject({ choices: [{ message: { images: [image] } }] });
    const { chunks } = await stream(
      DEEPSEEK,
      streams(
        textChunk("Here"),
        sse({ choices: [{ index: 0, delta: { images: [image] }, finish_reason: "stop" }] }),
        sse({ choices: [], usage: USAGE }),
      ),
    );
    expect(chunks.flatMap(({ choices }) => choices[0]?.delta.images ?? [])).toEqual([image]);
  });

  it("and null where the provider reports no usage, streamed or not", async () => {
    const whole = await send(GPT, {}, answers("Hi"));
    expect(whole.body.usage).toBeNull();
    const { chunks } = await stream(GPT, answers("Hi"), {
      stream_options: { include_usage: true },
    });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: null });
  });

  it("but not a provider's own tool calls, which are not the client's to answer", async () => {
    const script = claudeSays(
      { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "x" } },
      { type: "text", text: "Hi" },
    );
    const { body } = await send(CLAUDE, {}, script);
    expect(JSON.stringify(body)).not.toContain("srvtoolu_1");
  });
});

it("After all of this nothing is held, and the balances equal the ledger", async () => {
  await until("nothing is held", async () => {
    const [row] = await stack.sql`
      select count(*)::int from spend.reservations where status = 'held'`;
    return row?.count === 0;
  });
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
