// Every meter that a provider reports, in its own words and by its own convention of parts and wholes.
import type { Counts } from "../bill.ts";
import { data, events, json, type Piece } from "../provider.ts";
import { event as anthropicEvent, messageDelta, messageStart } from "../shapes/anthropic.ts";
import { candidates } from "../shapes/gemini.ts";
import { chunk, DONE, usageChunk } from "../shapes/openai_chat.ts";
import { response, event as responsesEvent } from "../shapes/openai_responses.ts";
import { streamOf } from "../shapes/wire.ts";
import type { Booked, Expected, Target, WireCase } from "./case.ts";
import {
  CLAUDE,
  CODEX,
  COMPATIBLE_TARGETS,
  DEEP_RESEARCH,
  DEEP_SONAR,
  GEMINI,
  GEMINI_IMAGE,
  GEMINI_PRO,
  GPT,
  GROK,
  HAIKU,
  O3,
  SEARCH,
} from "./targets.ts";

const TEXT = "Yes";

/** The same report in an answer that streams, and in one that does not. */
function bothWays(
  name: string,
  target: Target,
  usage: object,
  booked: Counts | Booked,
  more: Partial<Expected> = {},
): WireCase[] {
  const expected: Expected = {
    booked: typeof booked === "object" && isCounts(booked) ? { exactly: booked } : booked,
    text: TEXT,
    finish: "stop",
    ...more,
  };
  const told = { text: TEXT, usage };
  return [
    {
      name: `${name}, streamed`,
      target,
      stream: true,
      answers: [events(streamOf(target.wire, told))],
      expected,
    },
    {
      name: `${name}, whole`,
      target,
      stream: false,
      answers: [json(target.wire.whole(told))],
      expected,
    },
  ];
}

function isCounts(booked: object): booked is Counts {
  return "input_tokens" in booked;
}

function streamed(
  name: string,
  target: Target,
  pieces: Piece[],
  expected: Expected,
  request?: WireCase["request"],
): WireCase {
  return { name, target, stream: true, answers: [events(pieces)], expected, request };
}

const openai = [
  ...bothWays(
    "gpt-4o-mini: 1,024 of 2,006 input tokens were cached",
    GPT,
    {
      prompt_tokens: 2006,
      completion_tokens: 300,
      total_tokens: 2306,
      prompt_tokens_details: { cached_tokens: 1024, audio_tokens: 0 },
      completion_tokens_details: {
        reasoning_tokens: 0,
        audio_tokens: 0,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0,
      },
    },
    { input_tokens: 2006, cache_read_tokens: 1024, output_tokens: 300 },
  ),
  ...bothWays(
    "o3: 448 of 460 output tokens were reasoning",
    O3,
    {
      prompt_tokens: 75,
      completion_tokens: 460,
      total_tokens: 535,
      completion_tokens_details: { reasoning_tokens: 448 },
    },
    { input_tokens: 75, output_tokens: 460, reasoning_tokens: 448 },
  ),
  ...bothWays(
    "gpt-4o-mini: rejected predictions are in the 120 output tokens already",
    GPT,
    {
      prompt_tokens: 100,
      completion_tokens: 120,
      total_tokens: 220,
      completion_tokens_details: { accepted_prediction_tokens: 10, rejected_prediction_tokens: 80 },
    },
    { input_tokens: 100, output_tokens: 120 },
  ),
  ...bothWays(
    "gpt-5-codex: 640 of 700 output tokens were reasoning, 512 of 900 input tokens cached",
    CODEX,
    {
      input_tokens: 900,
      input_tokens_details: { cached_tokens: 512 },
      output_tokens: 700,
      output_tokens_details: { reasoning_tokens: 640 },
      total_tokens: 1600,
    },
    { input_tokens: 900, cache_read_tokens: 512, output_tokens: 700, reasoning_tokens: 640 },
  ),
  streamed(
    "gpt-4o-mini: its usage grows from chunk to chunk, the last counts",
    GPT,
    [
      chunk({ content: "Yes" }),
      usageChunk({ prompt_tokens: 50, completion_tokens: 1, total_tokens: 51 }),
      chunk({ content: "!" }, "stop"),
      usageChunk({ prompt_tokens: 50, completion_tokens: 2, total_tokens: 52 }),
      DONE,
    ],
    { booked: { exactly: { input_tokens: 50, output_tokens: 2 } }, text: "Yes!", finish: "stop" },
  ),
  streamed(
    "gpt-4o-mini: usage null in every chunk but the last",
    GPT,
    [
      chunk({ content: TEXT }, "stop"),
      usageChunk(null),
      usageChunk({ prompt_tokens: 50, completion_tokens: 1, total_tokens: 51 }),
      DONE,
    ],
    { booked: { exactly: { input_tokens: 50, output_tokens: 1 } }, text: TEXT, finish: "stop" },
  ),
  streamed(
    "gpt-4o-mini: usage in the last chunk of content",
    GPT,
    [
      data({
        id: "1",
        created: 1,
        model: "wire",
        object: "chat.completion.chunk",
        choices: [{ index: 0, delta: { content: TEXT }, finish_reason: "stop" }],
        usage: { prompt_tokens: 50, completion_tokens: 1, total_tokens: 51 },
      }),
      DONE,
    ],
    { booked: { exactly: { input_tokens: 50, output_tokens: 1 } }, text: TEXT, finish: "stop" },
  ),
  streamed(
    "gpt-4o-mini: usage, but no [DONE]",
    GPT,
    [
      chunk({ content: TEXT }, "stop"),
      usageChunk({ prompt_tokens: 50, completion_tokens: 1, total_tokens: 51 }),
    ],
    { booked: { exactly: { input_tokens: 50, output_tokens: 1 } }, text: TEXT, finish: "stop" },
  ),
  streamed(
    "gpt-4o-mini: 3 words and usage in the first chunk alone, which says 0",
    GPT,
    [
      usageChunk({ prompt_tokens: 10, completion_tokens: 0, total_tokens: 10 }),
      chunk({ content: "a " }),
      chunk({ content: "b " }),
      chunk({ content: "c" }),
      chunk({}, "stop"),
      DONE,
    ],
    { booked: { atLeast: { input_tokens: 10, output_tokens: 3 } }, text: "a b c", finish: "stop" },
  ),
  ...bothWays(
    "gpt-4o-mini: more cached than there was is no report",
    GPT,
    {
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 15,
      prompt_tokens_details: { cached_tokens: 11 },
    },
    { atLeast: { input_tokens: 10, output_tokens: 5 } },
  ),
  ...bothWays(
    "gpt-4o-mini: 1.5 tokens are no report",
    GPT,
    { prompt_tokens: 10, completion_tokens: 1.5, total_tokens: 11.5 },
    { atLeast: { input_tokens: 0, output_tokens: 1 } },
  ),
  ...bothWays(
    "gpt-4o-mini: -5 tokens are no report",
    GPT,
    { prompt_tokens: 10, completion_tokens: -5, total_tokens: 5 },
    { atLeast: { input_tokens: 0, output_tokens: 1 } },
  ),
  ...bothWays(
    "gpt-4o-mini: tokens that are texts are no report",
    GPT,
    { prompt_tokens: "10", completion_tokens: "5", total_tokens: "15" },
    { atLeast: { input_tokens: 10, output_tokens: 5 } },
    { status: [200, 502, 503], text: undefined, finish: undefined },
  ),
  ...bothWays(
    "gpt-4o-mini: 30 tokens for reasoning are beside 5, whatever the total is",
    GPT,
    {
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 15,
      completion_tokens_details: { reasoning_tokens: 30 },
    },
    { input_tokens: 10, output_tokens: 35, reasoning_tokens: 30 },
  ),
  streamed(
    "gpt-4o-mini: its usage shrinks from 90 tokens to 2: the last counts, at least",
    GPT,
    [
      chunk({ content: TEXT }, "stop"),
      usageChunk({ prompt_tokens: 50, completion_tokens: 90, total_tokens: 140 }),
      usageChunk({ prompt_tokens: 50, completion_tokens: 2, total_tokens: 52 }),
      DONE,
    ],
    { booked: { settledFrom: { input_tokens: 50, output_tokens: 2 } }, text: TEXT, finish: "stop" },
  ),
  streamed(
    "gpt-4o-mini: its usage comes twice, the same: it counts once",
    GPT,
    [
      chunk({ content: TEXT }, "stop"),
      usageChunk({ prompt_tokens: 50, completion_tokens: 2, total_tokens: 52 }),
      usageChunk({ prompt_tokens: 50, completion_tokens: 2, total_tokens: 52 }),
      DONE,
    ],
    { booked: { exactly: { input_tokens: 50, output_tokens: 2 } }, text: TEXT, finish: "stop" },
  ),
  ...bothWays(
    "gpt-4o-mini: a prompt of 0 tokens is no report",
    GPT,
    { prompt_tokens: 0, completion_tokens: 5, total_tokens: 5 },
    { atLeast: { input_tokens: 0, output_tokens: 5 } },
  ),
  {
    name: "gpt-4o-mini: the tier that the answer states is priority, which has no price: the bound, flagged",
    target: GPT,
    stream: false,
    answers: [
      json({
        ...GPT.wire.whole({ text: TEXT, usage: GPT.wire.usage(100, 1) }),
        service_tier: "priority",
      }),
    ],
    expected: { booked: "bound or more", text: TEXT },
  },
  {
    name: "gpt-4o-mini: the tier that the stream states is priority, which has no price: the bound, flagged",
    target: GPT,
    stream: true,
    answers: [
      events([
        chunk({ content: TEXT }, "stop"),
        usageChunk(GPT.wire.usage(100, 1), { service_tier: "priority" }),
        DONE,
      ]),
    ],
    expected: { booked: "bound or more", text: TEXT },
  },
  {
    name: "gpt-4o-mini: the tier that the answer states is default, the standard one",
    target: GPT,
    stream: false,
    answers: [
      json({
        ...GPT.wire.whole({ text: TEXT, usage: GPT.wire.usage(100, 1) }),
        service_tier: "default",
      }),
    ],
    expected: { booked: { exactly: { input_tokens: 100, output_tokens: 1 } }, text: TEXT },
  },
] satisfies WireCase[];

const webSearchCall = (at: number) => ({
  id: `ws_${at}`,
  type: "web_search_call",
  status: "completed",
  action: { type: "search", query: "q" },
});
const researched = {
  text: TEXT,
  usage: {
    input_tokens: 5000,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 3000,
    output_tokens_details: { reasoning_tokens: 2500 },
    total_tokens: 8000,
  },
};

/** What is charged by the call ($25 and $10 per 1,000: platform.openai.com/docs/pricing), and shows in no count of tokens. */
const fees: WireCase[] = [
  {
    name: "gpt-4o-mini-search-preview always searches: its fee is booked, or it is refused before anything is sent",
    target: SEARCH,
    stream: false,
    answers: [json(SEARCH.wire.whole({ text: TEXT, usage: SEARCH.wire.usage(50, 1) }))],
    expected: {
      booked: { tokens: { input_tokens: 50, output_tokens: 1 }, fee: 0.025 },
      status: [200, 422],
    },
  },
  {
    name: "o3-deep-research searched twice: its fee is booked, or it is refused before anything is sent",
    target: DEEP_RESEARCH,
    stream: false,
    answers: [json(response(researched, [webSearchCall(1), webSearchCall(2)]))],
    expected: {
      booked: { tokens: { input_tokens: 5000, output_tokens: 3000 }, fee: 0.02 },
      status: [200, 422],
    },
  },
  {
    name: "o3-deep-research searched twice in a stream: its fee is booked, or it is refused before anything is sent",
    target: DEEP_RESEARCH,
    stream: true,
    answers: [
      events([
        ...DEEP_RESEARCH.wire.begin(researched),
        ...[1, 2].flatMap((at) => [
          responsesEvent("response.output_item.added", {
            output_index: at - 1,
            item: { ...webSearchCall(at), status: "in_progress" },
          }),
          responsesEvent("response.output_item.done", {
            output_index: at - 1,
            item: webSearchCall(at),
          }),
        ]),
        responsesEvent("response.output_text.delta", {
          item_id: "msg_wire",
          output_index: 2,
          content_index: 0,
          delta: TEXT,
        }),
        responsesEvent("response.completed", {
          response: response(researched, [webSearchCall(1), webSearchCall(2)]),
        }),
      ]),
    ],
    expected: {
      booked: { tokens: { input_tokens: 5000, output_tokens: 3000 }, fee: 0.02 },
      status: [200, 422],
    },
  },
];

const claudeSearched = {
  input_tokens: 2679,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: 510,
  server_tool_use: { web_search_requests: 3 },
};

const anthropic: WireCase[] = [
  ...bothWays(
    "Claude: 9,000 tokens written to the cache and 4,000 read are beside the 12 of the prompt",
    CLAUDE,
    {
      input_tokens: 12,
      cache_creation_input_tokens: 9000,
      cache_read_input_tokens: 4000,
      output_tokens: 40,
    },
    {
      input_tokens: 13_012,
      cache_write_tokens: 9000,
      cache_read_tokens: 4000,
      output_tokens: 40,
    },
  ),
  ...bothWays(
    "Claude: 300 of 1,000 tokens are written for an hour",
    HAIKU,
    {
      input_tokens: 20,
      cache_creation_input_tokens: 1000,
      cache_read_input_tokens: 0,
      cache_creation: { ephemeral_5m_input_tokens: 700, ephemeral_1h_input_tokens: 300 },
      output_tokens: 5,
    },
    {
      input_tokens: 1020,
      cache_write_tokens: 700,
      cache_write_1h_tokens: 300,
      output_tokens: 5,
    },
  ),
  ...bothWays(
    "Claude: exactly 200,000 input tokens cost the lower price",
    CLAUDE,
    { input_tokens: 200_000, output_tokens: 10 },
    { input_tokens: 200_000, output_tokens: 10 },
  ),
  ...bothWays(
    "Claude: 200,001 input tokens, the cache among them, cost the higher price",
    CLAUDE,
    { input_tokens: 1, cache_read_input_tokens: 200_000, output_tokens: 10 },
    { input_tokens: 200_001, cache_read_tokens: 200_000, output_tokens: 10 },
  ),
  streamed(
    "Claude: 3 searches of the web, and usage that grows in message_delta",
    CLAUDE,
    [
      messageStart({ ...claudeSearched, server_tool_use: undefined, output_tokens: 2 }),
      ...CLAUDE.wire.content({ text: TEXT }),
      messageDelta(claudeSearched),
      anthropicEvent("message_stop"),
    ],
    {
      booked: { exactly: { input_tokens: 2679, output_tokens: 510, web_searches: 3 } },
      text: TEXT,
      finish: "stop",
    },
  ),
  ...bothWays(
    "Claude: null for what it did not use is 0",
    CLAUDE,
    {
      input_tokens: 100,
      cache_creation_input_tokens: null,
      cache_read_input_tokens: null,
      output_tokens: 10,
    },
    { input_tokens: 100, output_tokens: 10 },
  ),
  ...bothWays(
    "Claude: 0 tokens beside a word",
    CLAUDE,
    { input_tokens: 100, output_tokens: 0 },
    { atLeast: { input_tokens: 100, output_tokens: 1 } },
  ),
  ...bothWays(
    "Claude: -10 tokens are no report",
    CLAUDE,
    { input_tokens: 100, output_tokens: -10 },
    { atLeast: { input_tokens: 100, output_tokens: 1 } },
  ),
  ...bothWays(
    "Claude: tokens that are texts are no report",
    CLAUDE,
    { input_tokens: "100", output_tokens: "10" },
    { atLeast: { input_tokens: 100, output_tokens: 10 } },
    { status: [200, 502, 503], text: undefined, finish: undefined },
  ),
  ...bothWays(
    "Claude: -4,000 tokens read from the cache take nothing off",
    CLAUDE,
    { input_tokens: 100, cache_read_input_tokens: -4000, output_tokens: 10 },
    { atLeast: { input_tokens: 100, output_tokens: 10 } },
  ),
  streamed(
    "Claude: message_delta without usage",
    CLAUDE,
    [
      messageStart({ input_tokens: 10, output_tokens: 1 }),
      ...CLAUDE.wire.content({ text: "one two three" }),
      messageDelta(undefined),
      anthropicEvent("message_stop"),
    ],
    { booked: { atLeast: { input_tokens: 10, output_tokens: 3 } }, text: "one two three" },
  ),
  {
    name: "Claude: overloaded after message_start, with a model to fall back to: that one answers, the first is free",
    target: GPT,
    endpoint: "chat",
    stream: true,
    request: {
      model: "anthropic/claude-sonnet-4-5",
      fallbackModels: ["openai/gpt-4o-mini"],
    },
    answers: [
      events([
        messageStart({ input_tokens: 10, output_tokens: 1 }),
        CLAUDE.wire.failure("Overloaded"),
      ]),
      events(streamOf(GPT.wire, { text: TEXT, usage: GPT.wire.usage(40, 1) })),
    ],
    expected: {
      booked: { exactly: { input_tokens: 40, output_tokens: 1 } },
      text: TEXT,
      finish: "stop",
      calls: 2,
    },
  },
];

const thought = {
  promptTokenCount: 100,
  candidatesTokenCount: 20,
  thoughtsTokenCount: 5000,
  totalTokenCount: 5120,
};

const google: WireCase[] = [
  ...bothWays("Gemini: 5,000 tokens of thoughts are beside the 20 of the answer", GEMINI, thought, {
    input_tokens: 100,
    output_tokens: 5020,
    reasoning_tokens: 5000,
  }),
  ...bothWays(
    "Gemini: 900 of 1,000 input tokens were cached",
    GEMINI,
    {
      promptTokenCount: 1000,
      cachedContentTokenCount: 900,
      candidatesTokenCount: 20,
      totalTokenCount: 1020,
      cacheTokensDetails: [{ modality: "TEXT", tokenCount: 900 }],
    },
    { input_tokens: 1000, cache_read_tokens: 900, output_tokens: 20 },
  ),
  ...bothWays(
    "Gemini: 50 tokens of a tool's prompt are beside the 100 of ours",
    GEMINI,
    {
      promptTokenCount: 100,
      toolUsePromptTokenCount: 50,
      candidatesTokenCount: 20,
      totalTokenCount: 170,
    },
    { input_tokens: 150, output_tokens: 20 },
  ),
  ...bothWays(
    "Gemini: 80 of 100 input tokens were audio, at its own price",
    GEMINI,
    {
      promptTokenCount: 100,
      candidatesTokenCount: 20,
      totalTokenCount: 120,
      promptTokensDetails: [
        { modality: "TEXT", tokenCount: 20 },
        { modality: "AUDIO", tokenCount: 80 },
      ],
    },
    { input_tokens: 100, audio_input_tokens: 80, output_tokens: 20 },
  ),
  ...bothWays(
    "Gemini Pro: 200,001 input tokens cost the higher price",
    GEMINI_PRO,
    { promptTokenCount: 200_001, candidatesTokenCount: 20, totalTokenCount: 200_021 },
    { input_tokens: 200_001, output_tokens: 20 },
  ),
  ...bothWays(
    "Gemini: -20 tokens are no report",
    GEMINI,
    { promptTokenCount: 100, candidatesTokenCount: -20, totalTokenCount: 80 },
    { atLeast: { input_tokens: 100, output_tokens: 1 } },
  ),
  ...bothWays(
    "Gemini: more cached than there was is no report",
    GEMINI,
    {
      promptTokenCount: 100,
      cachedContentTokenCount: 500,
      candidatesTokenCount: 20,
      totalTokenCount: 120,
    },
    { atLeast: { input_tokens: 100, cache_read_tokens: 100, output_tokens: 20 } },
  ),
  ...bothWays(
    "Gemini: an image of 1,290 tokens costs what images cost",
    GEMINI_IMAGE,
    {
      promptTokenCount: 10,
      candidatesTokenCount: 1290,
      totalTokenCount: 1300,
      candidatesTokensDetails: [{ modality: "IMAGE", tokenCount: 1290 }],
    },
    { input_tokens: 10, output_tokens: 1290, image_output_tokens: 1290 },
  ),
  streamed(
    "Gemini: a stream that breaks off when every chunk had said 5,000 tokens of thoughts",
    GEMINI,
    [1, 2].map((count) =>
      data(
        candidates([{ text: "word " }], {
          usage: { ...thought, candidatesTokenCount: count, totalTokenCount: 5100 + count },
        }),
      ),
    ),
    {
      booked: {
        atLeast: { input_tokens: 100, output_tokens: 5002, reasoning_tokens: 5000 },
      },
      finish: null,
      fails: true,
    },
  ),
  {
    name: "Gemini: a prompt that it blocks costs its 30 tokens",
    target: GEMINI,
    stream: false,
    answers: [
      json({
        promptFeedback: { blockReason: "PROHIBITED_CONTENT" },
        usageMetadata: { promptTokenCount: 30, totalTokenCount: 30 },
      }),
    ],
    expected: {
      booked: { exactly: { input_tokens: 30, output_tokens: 0 } },
      finish: "content_filter",
    },
  },
];

const { deepseek, groq, minimax, mistral, moonshotai, openrouter, perplexity } = COMPATIBLE_TARGETS;

const compatible: WireCase[] = [
  ...Object.entries(COMPATIBLE_TARGETS).flatMap(([provider, target]) =>
    bothWays(
      `${provider}: 1,000 input and 500 output tokens`,
      target,
      target.wire.usage(1000, 500),
      { input_tokens: 1000, output_tokens: 500 },
    ),
  ),
  ...Object.entries(COMPATIBLE_TARGETS).map(([provider, target]) =>
    streamed(
      `${provider}: 4 words and then nothing: 4 at least`,
      target,
      [...target.wire.begin({}), ...target.wire.content({ text: "a b c d" })],
      {
        booked: { atLeast: { input_tokens: 0, output_tokens: 4 } },
        text: "a b c d",
        finish: null,
        fails: true,
      },
    ),
  ),
  ...bothWays(
    "deepseek: 900 of 1,000 input tokens were cached, said at top level",
    deepseek,
    {
      prompt_tokens: 1000,
      completion_tokens: 20,
      total_tokens: 1020,
      prompt_cache_hit_tokens: 900,
      prompt_cache_miss_tokens: 100,
    },
    { input_tokens: 1000, cache_read_tokens: 900, output_tokens: 20 },
  ),
  ...bothWays(
    "deepseek: cached tokens said in both places count once",
    deepseek,
    {
      prompt_tokens: 1000,
      completion_tokens: 20,
      total_tokens: 1020,
      prompt_tokens_details: { cached_tokens: 900 },
      prompt_cache_hit_tokens: 900,
      prompt_cache_miss_tokens: 100,
    },
    { input_tokens: 1000, cache_read_tokens: 900, output_tokens: 20 },
  ),
  ...bothWays(
    "moonshotai: 900 of 1,000 input tokens were cached, said at top level",
    moonshotai,
    { prompt_tokens: 1000, completion_tokens: 20, total_tokens: 1020, cached_tokens: 900 },
    { input_tokens: 1000, cache_read_tokens: 900, output_tokens: 20 },
  ),
  ...bothWays(
    "mistral: 512 of 1,000 input tokens were cached",
    mistral,
    {
      prompt_tokens: 1000,
      completion_tokens: 20,
      total_tokens: 1020,
      prompt_tokens_details: { cached_tokens: 512 },
    },
    { input_tokens: 1000, cache_read_tokens: 512, output_tokens: 20 },
  ),
  ...bothWays(
    "x-ai: 2,809 tokens of reasoning are beside the 3,499 of the answer, as the total of 16,428 shows",
    GROK,
    {
      prompt_tokens: 10_120,
      completion_tokens: 3499,
      total_tokens: 16_428,
      prompt_tokens_details: { cached_tokens: 128 },
      completion_tokens_details: { reasoning_tokens: 2809 },
    },
    {
      input_tokens: 10_120,
      cache_read_tokens: 128,
      output_tokens: 6308,
      reasoning_tokens: 2809,
    },
  ),
  ...bothWays(
    "x-ai: 386 tokens of reasoning beside 1 of the answer",
    GROK,
    {
      prompt_tokens: 12,
      completion_tokens: 1,
      total_tokens: 399,
      completion_tokens_details: { reasoning_tokens: 386 },
    },
    { input_tokens: 12, output_tokens: 387, reasoning_tokens: 386 },
  ),
  ...bothWays(
    "x-ai: 300 tokens of reasoning in the 340 of the answer, as the total of 440 shows",
    GROK,
    {
      prompt_tokens: 100,
      completion_tokens: 340,
      total_tokens: 440,
      completion_tokens_details: { reasoning_tokens: 300 },
    },
    { input_tokens: 100, output_tokens: 340, reasoning_tokens: 300 },
  ),
  ...bothWays(
    "perplexity sonar-deep-research: citations, 18 searches, 73,997 tokens of reasoning",
    DEEP_SONAR,
    {
      prompt_tokens: 33,
      completion_tokens: 7163,
      total_tokens: 7196,
      citation_tokens: 20_016,
      num_search_queries: 18,
      reasoning_tokens: 73_997,
    },
    {
      input_tokens: 33 + 20_016,
      output_tokens: 7163 + 73_997,
      reasoning_tokens: 73_997,
      web_searches: 18,
    },
  ),
  ...bothWays(
    "perplexity sonar: a call has a fee",
    perplexity,
    { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30, search_context_size: "low" },
    { input_tokens: 10, output_tokens: 20 },
  ),
  ...bothWays(
    "openrouter: 9,000 of 10,000 input tokens were written to the cache",
    openrouter,
    {
      prompt_tokens: 10_000,
      completion_tokens: 10,
      total_tokens: 10_010,
      prompt_tokens_details: { cached_tokens: 0, cache_write_tokens: 9000 },
      cost: 0.0369,
    },
    { input_tokens: 10_000, cache_write_tokens: 9000, output_tokens: 10 },
  ),
  ...bothWays(
    "openrouter: 4,000 of 10,000 input tokens were cached",
    openrouter,
    {
      prompt_tokens: 10_000,
      completion_tokens: 10,
      total_tokens: 10_010,
      prompt_tokens_details: { cached_tokens: 4000 },
    },
    { input_tokens: 10_000, cache_read_tokens: 4000, output_tokens: 10 },
  ),
  ...bothWays(
    "minimax: 250 of 1,000 input tokens were cached",
    minimax,
    {
      prompt_tokens: 1000,
      completion_tokens: 20,
      total_tokens: 1020,
      prompt_tokens_details: { cached_tokens: 250 },
    },
    { input_tokens: 1000, cache_read_tokens: 250, output_tokens: 20 },
  ),
  streamed(
    "groq: usage in x_groq alone is no report that its format has: flagged",
    groq,
    [
      chunk({ content: TEXT }),
      data({
        id: "1",
        object: "chat.completion.chunk",
        created: 1,
        model: "wire",
        choices: [{ index: 0, delta: {}, finish_reason: "stop" }],
        x_groq: { id: "req", usage: { prompt_tokens: 20, completion_tokens: 1, total_tokens: 21 } },
      }),
      DONE,
    ],
    { booked: { atLeast: { input_tokens: 0, output_tokens: 1 } }, text: TEXT },
  ),
];

export const meterCases: WireCase[] = [...openai, ...fees, ...anthropic, ...google, ...compatible];
