// One reader of usage: what each provider's answer says, in its own words and by its own convention of parts and wholes.
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { expect, it } from "vitest";
import type { Json } from "../../functions/_shared/llm/usage/report.ts";
import { UsageReader } from "../../functions/_shared/llm/usage/usage.ts";

const BOUND = { input_tokens: 200, output_tokens: 4096 };

interface Read {
  /** What is booked as the provider's whole report; undefined: unknown, so estimated and flagged. */
  whole: unknown;
  /** What is known at least. */
  known: unknown;
}

function readerOf(name: string): UsageReader {
  const slash = name.indexOf("/");
  return new UsageReader({ provider: name.slice(0, slash), model: name.slice(slash + 1) });
}

function read(reader: UsageReader): Read {
  const { input_tokens, output_tokens } = reader.counted(BOUND);
  return { whole: reader.usage, known: [input_tokens, output_tokens] };
}

/** An answer that did not stream. */
function answered(name: string, body: object, text = "Yes"): Read {
  const reader = readerOf(name);
  reader.seeAnswer({ content: [{ type: "text", text }], response: { body } });
  return read(reader);
}

const text = (delta: string): LanguageModelV4StreamPart => ({ type: "text-delta", id: "1", delta });
const finish: LanguageModelV4StreamPart = {
  type: "finish",
  finishReason: { unified: "stop", raw: "stop" },
  usage: {
    inputTokens: {
      total: undefined,
      noCache: undefined,
      cacheRead: undefined,
      cacheWrite: undefined,
    },
    outputTokens: { total: undefined, text: undefined, reasoning: undefined },
  },
};

/** A stream: objects are raw chunks, texts what the SDK makes of them. */
function streamed(name: string, ...parts: (object | string)[]): Read {
  const reader = readerOf(name);
  for (const part of parts) {
    if (typeof part === "string") reader.see(text(part));
    else if ("type" in part && part.type === "finish") reader.see(finish);
    else if ("type" in part && part.type === "error") reader.see({ type: "error", error: part });
    else reader.see({ type: "raw", rawValue: part });
  }
  return read(reader);
}

const GPT = "openai/gpt-4o-mini";
const chat = (usage: object, more: object = {}) => ({
  choices: [{ index: 0, message: { role: "assistant", content: "Yes" }, finish_reason: "stop" }],
  usage,
  ...more,
});
const delta = (content: string, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta: { content }, finish_reason }],
});
const used = (prompt_tokens: number, completion_tokens: number, more: object = {}) => ({
  choices: [],
  usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
  ...more,
});

it.each([
  [
    "reasoning within the completion: prompt 100 and completion 340 make the total of 440",
    { prompt_tokens: 100, completion_tokens: 340, total_tokens: 440, reasoning: 300 },
    { input_tokens: 100, output_tokens: 340, reasoning_tokens: 300 },
  ],
  [
    "reasoning beside the completion: only with its 2,809 the total is 16,428",
    {
      prompt_tokens: 10_120,
      completion_tokens: 3499,
      total_tokens: 16_428,
      reasoning: 2809,
      cached_tokens: 128,
    },
    {
      input_tokens: 10_120,
      output_tokens: 6308,
      reasoning_tokens: 2809,
      cache_read_tokens: 128,
    },
  ],
  [
    "more reasoning (386) than completion (1) is beside it, without a total too",
    { prompt_tokens: 12, completion_tokens: 1, reasoning: 386 },
    { input_tokens: 12, output_tokens: 387, reasoning_tokens: 386 },
  ],
  [
    "thoughts that only the total of 130 shows are output",
    { prompt_tokens: 10, completion_tokens: 20, total_tokens: 130 },
    { input_tokens: 10, output_tokens: 120, reasoning_tokens: 100 },
  ],
])("x-ai's usage: %s", (_, { reasoning, ...usage }: Record<string, number>, expected) => {
  const body = chat({ ...usage, completion_tokens_details: { reasoning_tokens: reasoning } });
  expect(answered("x-ai/grok-4", body).whole).toEqual(expected);
});

it("Cache hits of 900 are read wherever a provider states them, once", () => {
  const usage = { prompt_tokens: 1000, completion_tokens: 20, total_tokens: 1020 };
  const expected = { input_tokens: 1000, output_tokens: 20, cache_read_tokens: 900 };
  for (const hits of [
    { prompt_cache_hit_tokens: 900, prompt_cache_miss_tokens: 100 },
    { cached_tokens: 900 },
    { prompt_tokens_details: { cached_tokens: 900 } },
    { prompt_tokens_details: { cached_tokens: 900 }, prompt_cache_hit_tokens: 900 },
    { cache_read_input_tokens: 900 },
  ]) {
    expect(answered("deepseek/deepseek-chat", chat({ ...usage, ...hits })).whole).toEqual(expected);
  }
  const beside = { ...usage, total_tokens: 1920, cache_read_input_tokens: 900 };
  expect(answered("acme/model", chat(beside)).whole).toEqual({ ...expected, input_tokens: 1900 });
});

it("Perplexity's deep research has 20,016 citations, 18 searches and 73,997 of reasoning that are in no total", () => {
  const usage = {
    prompt_tokens: 33,
    completion_tokens: 7163,
    total_tokens: 7196,
    citation_tokens: 20_016,
    num_search_queries: 18,
    reasoning_tokens: 73_997,
  };
  expect(answered("perplexity/sonar-deep-research", chat(usage)).whole).toEqual({
    input_tokens: 20_049,
    output_tokens: 81_160,
    reasoning_tokens: 73_997,
    web_searches: 18,
  });
  const few = { ...usage, reasoning_tokens: 100 };
  expect(answered("perplexity/sonar-deep-research", chat(few)).whole).toMatchObject({
    output_tokens: 7263,
  });
  const { num_search_queries, ...unsaid } = usage;
  expect(answered("perplexity/sonar-deep-research", chat(unsaid)).whole).toBeUndefined();
});

it("Audio and images are read of chat completions, though the SDK drops them", () => {
  const body = chat({
    prompt_tokens: 100,
    completion_tokens: 60,
    total_tokens: 160,
    prompt_tokens_details: { audio_tokens: 80, cached_tokens: 40 },
    completion_tokens_details: { audio_tokens: 40, image_tokens: 10 },
  });
  // 20 of the cached tokens must be audio's: they count as what costs more.
  expect(answered("openai/gpt-4o-audio-preview", body).whole).toEqual({
    input_tokens: 100,
    output_tokens: 60,
    audio_input_tokens: 80,
    cache_read_tokens: 20,
    audio_output_tokens: 40,
    image_output_tokens: 10,
  });
});

const responses = (output: object[], more: object = {}) => ({
  object: "response",
  status: "completed",
  usage: { input_tokens: 5000, output_tokens: 3000, total_tokens: 8000 },
  output,
  ...more,
});
const search = (id: string, action = "search") => ({
  type: "web_search_call",
  id,
  action: { type: action },
});

it("Two web searches of the Responses API count two, in a stream that names them twice as well", () => {
  const items = [search("a"), search("b"), search("c", "open_page")];
  const whole = { input_tokens: 5000, output_tokens: 3000, web_searches: 2 };
  expect(answered("openai/o3-deep-research", responses(items)).whole).toEqual(whole);
  const done = items.map((item) => ({ type: "response.output_item.done", item }));
  const end = { type: "response.completed", response: responses(items) };
  expect(streamed("openai/o3-deep-research", ...done, "Yes", end).whole).toEqual(whole);
  expect(answered("openai/gpt-5", responses([{ type: "file_search_call" }])).whole).toBeUndefined();
});

it("A model of OpenAI that cites pages has searched once, and one that is priced by the call has not", () => {
  const cited = {
    choices: [
      {
        message: { content: "Yes", annotations: [{ type: "url_citation", url_citation: {} }] },
        finish_reason: "stop",
      },
    ],
    usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  };
  expect(answered(GPT, cited).whole).toMatchObject({ web_searches: 1 });
  expect(answered("openai/gpt-4o-search-preview", cited).whole).toEqual({
    input_tokens: 10,
    output_tokens: 5,
  });
});

it("Claude's cache and compaction are beside the 12 input tokens, and an hour's cache within its write", () => {
  const usage = {
    input_tokens: 12,
    cache_creation_input_tokens: 1000,
    cache_read_input_tokens: 400,
    cache_creation: { ephemeral_5m_input_tokens: 700, ephemeral_1h_input_tokens: 300 },
    output_tokens: 40,
    output_tokens_details: { thinking_tokens: 30 },
    server_tool_use: { web_search_requests: 3 },
  };
  const whole = {
    input_tokens: 1412,
    output_tokens: 40,
    cache_read_tokens: 400,
    cache_write_tokens: 700,
    cache_write_1h_tokens: 300,
    reasoning_tokens: 30,
    web_searches: 3,
  };
  const claude = "anthropic/claude-sonnet-4-5";
  expect(answered(claude, { type: "message", usage }).whole).toEqual(whole);
  const iterations = [
    { type: "compaction", input_tokens: 5000, output_tokens: 200 },
    { type: "message", input_tokens: 12, output_tokens: 40 },
  ];
  const compacted = answered(claude, { type: "message", usage: { ...usage, iterations } });
  expect(compacted.whole).toMatchObject({ input_tokens: 6412, output_tokens: 240 });
  const advised = [{ type: "advisor_message", input_tokens: 9, output_tokens: 9 }];
  const other = answered(claude, { type: "message", usage: { ...usage, iterations: advised } });
  expect(other.whole).toBeUndefined();
});

it("Claude's stream counts what message_start said and message_delta does not repeat, and is not whole without the latter", () => {
  const claude = "anthropic/claude-sonnet-4-5";
  const start = {
    type: "message_start",
    message: { usage: { input_tokens: 10, cache_read_input_tokens: 90, output_tokens: 1 } },
  };
  const block = { type: "content_block_delta", delta: { type: "text_delta", text: "a b c" } };
  const end = { type: "message_delta", usage: { output_tokens: 25 } };
  expect(streamed(claude, start, block, "a b c", end, finish).whole).toEqual({
    input_tokens: 100,
    output_tokens: 25,
    cache_read_tokens: 90,
  });
  const cut = streamed(claude, start, block, "one two three four");
  expect(cut).toEqual({ whole: undefined, known: [100, 5] });
  const unsaid = streamed(claude, start, block, "a b c", { type: "message_delta" }, finish);
  expect(unsaid.whole).toBeUndefined();
});

const gemini = (usageMetadata: object, finishReason?: string, more: object = {}) => ({
  candidates: [{ content: { parts: [{ text: "Yes" }] }, finishReason, ...more }],
  usageMetadata,
});

it("Gemini's thoughts are beside the candidates, and a tool's prompt beside ours, unless the total says else", () => {
  const flash = "google/gemini-2.5-flash";
  const usage = { promptTokenCount: 100, candidatesTokenCount: 20, thoughtsTokenCount: 15 };
  expect(answered(flash, gemini({ ...usage, totalTokenCount: 135 })).whole).toMatchObject({
    output_tokens: 35,
  });
  expect(answered(flash, gemini({ ...usage, totalTokenCount: 120 })).whole).toMatchObject({
    output_tokens: 20,
  });
  const tool = { ...usage, toolUsePromptTokenCount: 50, totalTokenCount: 185 };
  expect(answered(flash, gemini(tool)).whole).toMatchObject({
    input_tokens: 150,
    output_tokens: 35,
  });
  const unsaid = { promptTokenCount: 100, totalTokenCount: 5100 };
  expect(answered(flash, gemini(unsaid)).whole).toMatchObject({ output_tokens: 5000 });
});

it("Gemini's audio counts 80 tokens, an image 1,290, and an image that nothing counts may be all of the output", () => {
  const image = "google/gemini-2.5-flash-image";
  const usage = { promptTokenCount: 100, candidatesTokenCount: 1290, totalTokenCount: 1390 };
  const details = {
    promptTokensDetails: [
      { modality: "TEXT", tokenCount: 20 },
      { modality: "AUDIO", tokenCount: 80 },
    ],
    candidatesTokensDetails: [{ modality: "IMAGE", tokenCount: 1290 }],
  };
  expect(answered(image, gemini({ ...usage, ...details })).whole).toEqual({
    input_tokens: 100,
    output_tokens: 1290,
    audio_input_tokens: 80,
    image_output_tokens: 1290,
  });
  const reader = readerOf(image);
  const file = { type: "file", mediaType: "image/png", data: { type: "data", data: "" } } as const;
  reader.seeAnswer({ content: [file], response: { body: gemini(usage) } });
  expect(reader.usage).toBeUndefined();
  expect(reader.counted(BOUND)).toMatchObject({ image_output_tokens: 1290 });
});

it("Gemini's two searches are one until 2.5 and two since 3, and a map has no price", () => {
  const usage = { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 };
  const grounded = (groundingMetadata: object) => gemini(usage, "STOP", { groundingMetadata });
  const queries = grounded({ webSearchQueries: ["a", "b"] });
  expect(answered("google/gemini-2.5-flash", queries).whole).toMatchObject({ web_searches: 1 });
  expect(answered("google/gemini-3-pro-preview", queries).whole).toMatchObject({ web_searches: 2 });
  const maps = grounded({ groundingChunks: [{ maps: { uri: "x" } }] });
  expect(answered("google/gemini-2.5-flash", maps).whole).toBeUndefined();
});

it("Gemini's answer that went on in a second request costs both", () => {
  const first = { promptTokenCount: 100, candidatesTokenCount: 50, totalTokenCount: 150 };
  const second = { promptTokenCount: 150, candidatesTokenCount: 20, totalTokenCount: 170 };
  const both = streamed(
    "google/gemini-3-pro-preview",
    gemini(first, "CONTINUATION"),
    "Yes",
    gemini(second, "STOP"),
    finish,
  );
  expect(both.whole).toEqual({ input_tokens: 250, output_tokens: 70 });
});

it("Gemini's 5,000 thoughts of the latest chunk count when the stream breaks off", () => {
  const usage = { promptTokenCount: 100, candidatesTokenCount: 2, thoughtsTokenCount: 5000 };
  const cut = streamed(
    "google/gemini-2.5-flash",
    gemini({ ...usage, totalTokenCount: 5102 }),
    "Yes",
  );
  expect(cut).toEqual({ whole: undefined, known: [100, 5002] });
});

it.each([
  ["0 output tokens beside a word", chat({ prompt_tokens: 10, completion_tokens: 0 })],
  ["a prompt of 0 tokens", chat({ prompt_tokens: 0, completion_tokens: 5 })],
  ["only a prompt", chat({ prompt_tokens: 10 })],
  ["1.5 tokens", chat({ prompt_tokens: 10, completion_tokens: 1.5 })],
  ["-5 tokens", chat({ prompt_tokens: 10, completion_tokens: -5 })],
  ["a count that is a text", chat({ prompt_tokens: 10, completion_tokens: "5" })],
  ["a count that is an object", chat({ prompt_tokens: {}, completion_tokens: 5 })],
  [
    "11 of 10 tokens cached",
    chat({ prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 11 } }),
  ],
  ["usage that is a list", chat([])],
  ["no usage", {}],
])("Usage with %s is no whole report, and at least what came", (_, body) => {
  const { whole, known } = answered(GPT, body);
  expect(whole).toBeUndefined();
  expect((known as number[])[1]).toBeGreaterThanOrEqual(1);
});

it("Usage of 0 output tokens is whole when nothing came", () => {
  const body = {
    choices: [{ message: {}, finish_reason: "content_filter" }],
    usage: used(10, 0).usage,
  };
  expect(answered(GPT, body, "").whole).toEqual({ input_tokens: 10, output_tokens: 0 });
});

it("A stream's usage is whole when it comes with or after all output and the answer has ended", () => {
  const end = delta("", "stop");
  const whole = { input_tokens: 50, output_tokens: 3 };
  expect(streamed(GPT, delta("a b c"), "a b c", end, used(50, 3), finish).whole).toEqual(whole);
  const inLast = { ...delta("a b c", "stop"), usage: used(50, 3).usage };
  expect(streamed(GPT, inLast, "a b c", finish).whole).toEqual(whole);
  const cumulative = streamed(GPT, used(50, 1), delta("a b c"), "a b c", end, used(50, 3), finish);
  expect(cumulative.whole).toEqual(whole);

  const early = streamed(GPT, used(50, 30), delta("a b c"), "a b c", end, finish);
  expect(early).toEqual({ whole: undefined, known: [50, 30] });
  const cut = streamed(GPT, delta("a b c"), "a b c", used(50, 3));
  expect(cut).toEqual({ whole: undefined, known: [50, 3] });
  const failed = streamed(
    GPT,
    delta("a b c"),
    "a b c",
    { type: "error" },
    end,
    used(50, 3),
    finish,
  );
  expect(failed).toEqual({ whole: undefined, known: [50, 3] });
});

it("A cumulative report has all so far in it until more is produced", () => {
  const reader = readerOf("x-ai/grok-4");
  expect(reader.isReported).toBe(false);
  reader.see({ type: "raw", rawValue: { ...delta("a b c"), usage: used(50, 300).usage } });
  reader.see(text("a b c"));
  expect(reader.isReported).toBe(true);
  reader.see({ type: "raw", rawValue: delta(" d") });
  expect(reader.isReported).toBe(false);
});

it("Four words of a stream that says nothing count four, though they came in 19 chunks", () => {
  const reader = readerOf(GPT);
  for (const letter of "four words in don't") reader.see(text(letter));
  expect(reader.produced.words).toBe(4);
  expect(reader.counted(BOUND)).toMatchObject({ input_tokens: 200 });
});

it.each([
  ["openai", GPT, chat(used(10, 5).usage, { service_tier: "priority" }), "priority"],
  ["openai", GPT, chat(used(10, 5).usage, { service_tier: "default" }), undefined],
  ["groq", "groq/llama", chat(used(10, 5).usage, { service_tier: "on_demand" }), undefined],
  ["groq", "groq/llama", chat(used(10, 5).usage, { service_tier: "performance" }), "performance"],
  ["openai's responses", "openai/gpt-5", responses([], { service_tier: "flex" }), "flex"],
  [
    "anthropic",
    "anthropic/claude-opus-4-6",
    {
      type: "message",
      usage: {
        input_tokens: 10,
        output_tokens: 5,
        service_tier: "standard",
        speed: "fast",
        inference_geo: "us",
      },
    },
    "fast-us",
  ],
  [
    "google",
    "google/gemini-2.5-flash",
    gemini({
      promptTokenCount: 10,
      candidatesTokenCount: 5,
      totalTokenCount: 15,
      serviceTier: "PRIORITY",
      trafficType: "ON_DEMAND_PRIORITY",
    }),
    "priority",
  ],
  [
    "google",
    "google/gemini-2.5-flash",
    gemini({
      promptTokenCount: 10,
      candidatesTokenCount: 5,
      totalTokenCount: 15,
      trafficType: "ON_DEMAND",
    }),
    undefined,
  ],
])("The tier that %s's answer states is the one that is billed (%#)", (_, name, body, tier) => {
  expect((answered(name, body).whole as { service_tier?: string }).service_tier).toBe(tier);
});

it("A tier is booked without NUL and halves of pairs, and one of nothing else is none", () => {
  const tier = (stated: string) =>
    (answered(GPT, chat(used(10, 5).usage, { service_tier: stated })).whole as Json).service_tier;
  expect(tier("fl\u0000ex\ud800")).toBe("flex");
  expect(tier(`${"x".repeat(199)}😍`)).toBe("x".repeat(199));
  expect(tier("😍")).toBe("😍");
  expect(tier("\u0000")).toBeUndefined();
});

it("The usage of an answer that the SDK rejects is in the body of its error, and not in that of a refusal", () => {
  const responseBody = JSON.stringify({ choices: [], usage: used(10, 5).usage });
  const rejected = readerOf(GPT);
  rejected.seeError({ statusCode: 200, responseBody });
  expect(rejected.usage).toEqual({ input_tokens: 10, output_tokens: 5 });
  const refused = readerOf(GPT);
  refused.seeError({ statusCode: 429, responseBody });
  expect(refused.usage).toBeUndefined();
});

it("Embeddings use input alone", () => {
  const body = { data: [{ embedding: [1] }], usage: { prompt_tokens: 7, total_tokens: 7 } };
  const reader = readerOf("openai/text-embedding-3-small");
  reader.seeAnswer({ response: { body } });
  expect(reader.usage).toEqual({ input_tokens: 7, output_tokens: 0 });
});

it("More than 100 million tokens are no count: the call is unknown usage, of the input that was held", () => {
  const most = { prompt_tokens: 10, completion_tokens: 100_000_000 };
  expect(answered(GPT, chat(most)).whole).toMatchObject({ output_tokens: 100_000_000 });
  for (const count of [100_000_001, 1e12, 1e300]) {
    const lie = { prompt_tokens: count, completion_tokens: count };
    expect(answered(GPT, chat(lie))).toEqual({ whole: undefined, known: [200, 1] });
  }
});
