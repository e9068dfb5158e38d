// Shapes that were met in the wild, one provider each: what our SDK cannot read, what a client must not lose.
import { data, events, json } from "../provider.ts";
import { candidates } from "../shapes/gemini.ts";
import { chunk, DONE, usageChunk } from "../shapes/openai_chat.ts";
import { streamOf, type Told } from "../shapes/wire.ts";
import type { Expected, Target, WireCase } from "./case.ts";
import { ECHO } from "./endings.ts";
import { CLAUDE, CODEX, COMPATIBLE_TARGETS, GEMINI, GEMINI_IMAGE, GPT, O3 } from "./targets.ts";

const { deepseek, groq, mistral, moonshotai, openrouter, together } = COMPATIBLE_TARGETS;

const REPORT = { input_tokens: 100, output_tokens: 20 };
const exactly = { exactly: REPORT };
const BAD_GATEWAY = [502, 503, 504];
const unread: Expected = { booked: "bound", status: BAD_GATEWAY, fails: true, finish: null };

const told = ({ wire }: Target, more: Told = {}): Told => ({
  text: "Yes",
  usage: wire.usage(100, 20),
  ...more,
});
const stream = (target: Target, more?: Told) => events(streamOf(target.wire, told(target, more)));
const whole = (target: Target, more?: Told) => json(target.wire.whole(told(target, more)));

/** Chunks of a tool call, as a compatible provider sends them, and the end of the stream. */
function toolStream(...deltas: object[]) {
  return events([
    chunk({ role: "assistant", content: null }),
    ...deltas.map((tool_calls) => chunk({ tool_calls })),
    chunk({}, "tool_calls"),
    usageChunk(GPT.wire.usage(100, 20)),
    DONE,
  ]);
}

const WITH_TOOL = {
  tools: [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }],
};
const called = (input: string): Expected => ({
  booked: exactly,
  finish: "tool_calls",
  tools: [{ name: "weather", arguments: input }],
});

const unreadable: WireCase[] = [
  {
    name: "groq: a first chunk without choices is not the provider's refusal",
    target: groq,
    stream: true,
    answers: [
      events([
        data({ id: "x", object: "chat.completion.chunk", service_tier: "default" }),
        ...streamOf(groq.wire, told(groq)),
      ]),
    ],
    expected: { booked: { atLeast: { input_tokens: 0, output_tokens: 1 } }, status: [200, 502] },
  },
  {
    name: "groq: a tool's arguments as an object, streamed, are not the provider's refusal",
    target: groq,
    stream: true,
    request: WITH_TOOL,
    answers: [
      toolStream([
        { index: 0, id: "1", type: "function", function: { name: "weather", arguments: { a: 1 } } },
      ]),
    ],
    expected: { booked: { atLeast: { input_tokens: 0, output_tokens: 1 } }, status: [200, 502] },
  },
  {
    name: "groq: a tool's arguments as an object, whole: its report is in the body, flagged or not",
    target: groq,
    stream: false,
    request: WITH_TOOL,
    answers: [
      json({
        ...groq.wire.whole(told(groq)),
        choices: [
          {
            index: 0,
            message: {
              role: "assistant",
              tool_calls: [
                { id: "1", type: "function", function: { name: "weather", arguments: { a: 1 } } },
              ],
            },
            finish_reason: "tool_calls",
          },
        ],
      }),
    ],
    expected: { booked: { settledFrom: REPORT }, status: [200, ...BAD_GATEWAY] },
  },
  {
    name: "groq: choices [] with a report of 120 tokens, whole: at that report or above",
    target: groq,
    stream: false,
    answers: [json({ ...groq.wire.whole(told(groq)), choices: [] })],
    expected: { booked: { settledFrom: REPORT }, status: [200, ...BAD_GATEWAY] },
  },
  {
    name: 'groq: role "" and a report of 120 tokens, whole: at that report or above',
    target: groq,
    stream: false,
    answers: [
      json({
        ...groq.wire.whole(told(groq)),
        choices: [{ index: 0, message: { role: "", content: "Yes" }, finish_reason: "stop" }],
      }),
    ],
    expected: { booked: { settledFrom: REPORT }, status: [200, ...BAD_GATEWAY] },
  },
  ...(["gpt", "groq"] as const).map((name): WireCase => {
    const target = name === "gpt" ? GPT : groq;
    return {
      name: `${name}: a line of JSON that is cut before the first token is not the provider's refusal`,
      target,
      stream: true,
      answers: [events(['data: {"id":"1","object":"chat.completion.chunk","cho\n\n'])],
      expected: unread,
    };
  }),
  ...[GPT, openrouter].map(
    (target): WireCase => ({
      name: `${target.provider}: status 200 with an error for a body is the provider's refusal`,
      target,
      stream: false,
      answers: [json({ error: { message: ECHO, code: 502 } })],
      expected: {
        booked: "nothing",
        status: BAD_GATEWAY,
        fails: true,
        finish: null,
      },
    }),
  ),
  {
    name: "openrouter: an error in the first event of a stream is the provider's refusal",
    target: openrouter,
    stream: true,
    answers: [
      events([": OPENROUTER PROCESSING\n\n", data({ error: { message: ECHO, code: 502 } })]),
    ],
    expected: { booked: "nothing", status: BAD_GATEWAY, fails: true, finish: null },
  },
  {
    name: 'openrouter: a stream that finishes by "error" has not finished',
    target: openrouter,
    stream: true,
    answers: [
      events([
        chunk({ role: "assistant", content: "a b c" }),
        chunk({}, "error"),
        usageChunk(openrouter.wire.usage(100, 3)),
        DONE,
      ]),
    ],
    expected: {
      booked: { settledFrom: { input_tokens: 100, output_tokens: 3 } },
      notFinish: "stop",
    },
  },
  {
    name: "Gemini: MALFORMED_FUNCTION_CALL is no answer that stopped by itself, whole",
    target: GEMINI,
    stream: false,
    answers: [
      json(
        candidates([], {
          finish: "MALFORMED_FUNCTION_CALL",
          usage: { promptTokenCount: 100, totalTokenCount: 100 },
        }),
      ),
    ],
    expected: {
      booked: { settledFrom: { input_tokens: 100, output_tokens: 0 } },
      status: [200, ...BAD_GATEWAY],
      notFinish: "stop",
    },
  },
  {
    name: "Gemini: MALFORMED_FUNCTION_CALL is no answer that stopped by itself, streamed",
    target: GEMINI,
    stream: true,
    answers: [
      events([
        data(
          candidates([], {
            finish: "MALFORMED_FUNCTION_CALL",
            usage: { promptTokenCount: 100, totalTokenCount: 100 },
          }),
        ),
      ]),
    ],
    expected: {
      booked: { settledFrom: { input_tokens: 100, output_tokens: 0 } },
      status: [200, ...BAD_GATEWAY],
      notFinish: "stop",
    },
  },
];

const tools: WireCase[] = [
  {
    name: "together: tool arguments in three pieces, without an id after the first",
    target: together,
    stream: true,
    request: WITH_TOOL,
    answers: [
      toolStream(
        [{ index: 0, id: "1", type: "function", function: { name: "weather", arguments: "" } }],
        [{ index: 0, function: { arguments: '{"city":' } }],
        [{ index: 0, function: { arguments: '"Paris"}' } }],
      ),
    ],
    expected: called('{"city":"Paris"}'),
  },
  {
    name: "mistral: a tool call whole in one chunk, without an index",
    target: mistral,
    stream: true,
    request: WITH_TOOL,
    answers: [
      toolStream([{ id: "1", function: { name: "weather", arguments: '{"city":"Paris"}' } }]),
    ],
    expected: called('{"city":"Paris"}'),
  },
  {
    name: "groq: two tool calls, their pieces taking turns",
    target: groq,
    stream: true,
    request: WITH_TOOL,
    answers: [
      toolStream(
        [{ index: 0, id: "1", type: "function", function: { name: "weather", arguments: "" } }],
        [{ index: 1, id: "2", type: "function", function: { name: "weather", arguments: "" } }],
        [{ index: 0, function: { arguments: '{"city":"Paris"}' } }],
        [{ index: 1, function: { arguments: '{"city":"Rome"}' } }],
      ),
    ],
    expected: {
      ...called(""),
      tools: [
        { name: "weather", arguments: '{"city":"Paris"}' },
        { name: "weather", arguments: '{"city":"Rome"}' },
      ],
    },
  },
  ...[null, ""].map(
    (input): WireCase => ({
      name: `deepseek: a tool call with arguments ${JSON.stringify(input)}, streamed, has {}`,
      target: deepseek,
      stream: true,
      request: WITH_TOOL,
      answers: [
        toolStream([
          { index: 0, id: "1", type: "function", function: { name: "weather", arguments: input } },
        ]),
      ],
      expected: called("{}"),
    }),
  ),
];

const REFUSAL = { role: "assistant", content: null, refusal: "I cannot." };
const seen: WireCase[] = [
  {
    name: "gpt-4o-mini: a refusal of the model is text, and paid, whole",
    target: GPT,
    stream: false,
    answers: [
      json({
        ...GPT.wire.whole(told(GPT)),
        choices: [{ index: 0, message: REFUSAL, logprobs: null, finish_reason: "stop" }],
      }),
    ],
    expected: { booked: exactly },
  },
  {
    name: "deepseek: what it reasoned is beside its answer, streamed",
    target: deepseek,
    stream: true,
    answers: [stream(deepseek, { reasoning: "let me see" })],
    expected: { booked: exactly, text: "Yes", finish: "stop", seen: ["reasoning_content"] },
  },
  {
    name: "deepseek: what it reasoned is beside its answer, whole",
    target: deepseek,
    stream: false,
    answers: [whole(deepseek, { reasoning: "let me see" })],
    expected: { booked: exactly, text: "Yes", finish: "stop", seen: ["let me see"] },
  },
  {
    name: "Claude: what it thought is beside its answer, streamed",
    target: CLAUDE,
    stream: true,
    answers: [stream(CLAUDE, { reasoning: "let me see" })],
    expected: { booked: exactly, text: "Yes", finish: "stop", seen: ["reasoning_content"] },
  },
  {
    name: "gpt-5-codex: the summary of its reasoning is beside its answer, streamed",
    target: CODEX,
    stream: true,
    answers: [stream(CODEX, { reasoning: "let me see" })],
    expected: { booked: exactly, text: "Yes", finish: "stop", seen: ["reasoning_content"] },
  },
  {
    name: "mistral: content as an array of texts, streamed",
    target: mistral,
    stream: true,
    answers: [
      events([
        chunk({ role: "assistant", content: [{ type: "text", text: "Yes" }] }),
        chunk({}, "stop"),
        usageChunk(mistral.wire.usage(100, 20)),
        DONE,
      ]),
    ],
    // Read, or an error: never an answer without words that looks finished, and never below its report.
    expected: { booked: { settledFrom: REPORT }, status: [200, ...BAD_GATEWAY] },
  },
  {
    name: "Gemini: an image that the model made reaches the client",
    target: GEMINI_IMAGE,
    stream: false,
    answers: [
      json(
        candidates([{ inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } }], {
          finish: "STOP",
          usage: {
            promptTokenCount: 10,
            candidatesTokenCount: 1290,
            totalTokenCount: 1300,
            candidatesTokensDetails: [{ modality: "IMAGE", tokenCount: 1290 }],
          },
        }),
      ),
    ],
    expected: {
      booked: {
        exactly: { input_tokens: 10, output_tokens: 1290, image_output_tokens: 1290 },
      },
      seen: ["iVBORw0KGgo="],
    },
  },
  ...(
    [
      ["context_length_exceeded", 400, 400],
      ["model_not_found", 404, [400, 404]],
    ] as const
  ).map(
    ([code, status, ours]): WireCase => ({
      name: `gpt-4o-mini: ${code} is the caller's to mend, and not to try again`,
      target: GPT,
      stream: true,
      answers: [json(GPT.wire.refusal(status, code, ECHO), status)],
      expected: { booked: "nothing", status: ours as number | number[], code, fails: true },
    }),
  ),
  ...[
    ["invalid_api_key", 401],
    ["insufficient_quota", 429],
  ].map(
    ([code, status]): WireCase => ({
      name: `gpt-4o-mini: ${code} is the operator's to mend: no 4xx of the caller's`,
      target: GPT,
      stream: false,
      answers: [json(GPT.wire.refusal(status as number, code as string, ECHO), status as number)],
      expected: { booked: "nothing", status: [502, 503], fails: true },
    }),
  ),
];

const SCHEMA = { type: "object", properties: { a: { type: "string" } } };
const sent: WireCase[] = [
  {
    name: "gpt-5-codex: nothing is stored at OpenAI",
    target: CODEX,
    stream: false,
    answers: [whole(CODEX)],
    expected: { booked: exactly, sent: { has: ['"store":false'] } },
  },
  {
    name: "gpt-5-codex in /chat: ids of stored items do not leave",
    target: CODEX,
    endpoint: "chat",
    stream: false,
    request: {
      messages: [
        {
          id: "1",
          role: "assistant",
          parts: [
            {
              type: "reasoning",
              text: "",
              providerMetadata: { openai: { itemId: "rs_of_another" } },
            },
            {
              type: "text",
              text: ".",
              providerMetadata: { openai: { itemId: "msg_of_another" } },
            },
          ],
        },
        { id: "2", role: "user", parts: [{ type: "text", text: "Go on. MARKER" }] },
      ],
    },
    answers: [whole(CODEX)],
    expected: {
      booked: { exactlyOrNotHeld: REPORT },
      status: [200, 400],
      sent: { hasNot: ["item_reference", "rs_of_another", "msg_of_another"] },
    },
  },
  {
    name: "groq in /chat: an image by address does not leave in a text's metadata",
    target: groq,
    endpoint: "chat",
    stream: false,
    request: {
      messages: [
        {
          id: "1",
          role: "user",
          parts: [
            {
              type: "text",
              text: "Look. MARKER",
              providerMetadata: {
                openaiCompatible: {
                  type: "image_url",
                  image_url: { url: "https://images.example/huge.png" },
                },
              },
            },
          ],
        },
      ],
    },
    answers: [whole(groq)],
    expected: {
      booked: { exactlyOrNotHeld: REPORT },
      status: [200, 400],
      sent: { hasNot: ["images.example"] },
    },
  },
  {
    name: "gpt-4o-mini: a schema that is not strict stays so",
    target: GPT,
    stream: false,
    request: {
      response_format: {
        type: "json_schema",
        json_schema: { name: "a", schema: SCHEMA, strict: false },
      },
    },
    answers: [whole(GPT, { text: "{}" })],
    expected: { booked: exactly, sent: { has: ['"strict":false'], hasNot: ['"strict":true'] } },
  },
  {
    name: "gpt-4o-mini: prompt_cache_key reaches OpenAI",
    target: GPT,
    stream: false,
    request: { prompt_cache_key: "key-of-the-cache" },
    answers: [whole(GPT)],
    expected: { booked: exactly, sent: { has: ["key-of-the-cache"] } },
  },
  {
    name: "Claude: cache_control of a part reaches Anthropic, or is refused",
    target: CLAUDE,
    stream: false,
    request: {
      messages: [
        {
          role: "user",
          content: [{ type: "text", text: "Long. MARKER", cache_control: { type: "ephemeral" } }],
        },
      ],
    },
    answers: [whole(CLAUDE)],
    expected: {
      booked: { exactlyOrNotHeld: REPORT },
      status: [200, 400],
      sent: { has: ["cache_control"] },
    },
  },
  {
    name: "moonshotai: reasoning_content of the history reaches it, or is refused",
    target: moonshotai,
    stream: false,
    request: {
      messages: [
        { role: "user", content: "Hello" },
        { role: "assistant", content: "Yes?", reasoning_content: "they said hello" },
        { role: "user", content: "Go on. MARKER" },
      ],
    },
    answers: [whole(moonshotai)],
    expected: {
      booked: { exactlyOrNotHeld: REPORT },
      status: [200, 400],
      sent: { has: ["they said hello"] },
    },
  },
  {
    name: "o3: its limit is sent as max_completion_tokens",
    target: O3,
    stream: false,
    request: { max_tokens: 500 },
    answers: [whole(O3)],
    expected: { booked: exactly, sent: { has: ['"max_completion_tokens":500'] } },
  },
];

const chat: WireCase[] = [GPT, CLAUDE, GEMINI, CODEX, groq].flatMap((target): WireCase[] => [
  {
    name: `/chat of ${target.provider}/${target.model}: one word, streamed`,
    target,
    endpoint: "chat",
    stream: true,
    answers: [stream(target)],
    expected: { booked: exactly, text: "Yes", finish: "stop", fails: false },
  },
  {
    name: `/chat of ${target.provider}/${target.model}: one word, whole`,
    target,
    endpoint: "chat",
    stream: false,
    answers: [whole(target)],
    expected: { booked: exactly, text: "Yes", finish: "stop", fails: false },
  },
  {
    name: `/chat of ${target.provider}/${target.model}: a stream that breaks off has an error`,
    target,
    endpoint: "chat",
    stream: true,
    answers: [
      events([...target.wire.begin(told(target)), ...target.wire.content(told(target))], "cut"),
    ],
    expected: {
      booked: { atLeast: { input_tokens: 0, output_tokens: 1 } },
      text: "Yes",
      fails: true,
      notFinish: "stop",
    },
  },
]);

const EMBEDDING_3 = { ...GPT, model: "text-embedding-3-small", product: "text-embedding-3-small" };
const GEMINI_EMBEDDING = {
  ...GEMINI,
  model: "gemini-embedding-001",
  product: "gemini-embedding-001",
};
const MISTRAL_EMBED = { ...mistral, model: "mistral-embed", product: "mistral-embed" };

const vectors = (target: Target, count: number, usage?: object): WireCase["answers"] => [
  json({
    object: "list",
    data: Array.from({ length: count }, (_, index) => ({
      object: "embedding",
      index,
      embedding: [0.5, 0.25],
    })),
    model: target.model,
    ...(usage && { usage }),
  }),
];

const embeddings: WireCase[] = [
  ...[EMBEDDING_3, MISTRAL_EMBED].flatMap((target): WireCase[] => [
    {
      name: `${target.model}: a text of 8 tokens`,
      target,
      endpoint: "embeddings",
      stream: false,
      answers: vectors(target, 1, { prompt_tokens: 8, total_tokens: 8 }),
      expected: { booked: { exactly: { input_tokens: 8, output_tokens: 0 } }, seen: ["0.25"] },
    },
    {
      name: `${target.model}: a text, and no report`,
      target,
      endpoint: "embeddings",
      stream: false,
      answers: vectors(target, 1),
      expected: { booked: "bound", seen: ["0.25"] },
    },
    {
      name: `${target.model}: a text, and a report of 0 tokens`,
      target,
      endpoint: "embeddings",
      stream: false,
      answers: vectors(target, 1, { prompt_tokens: 0, total_tokens: 0 }),
      expected: { booked: { atLeast: { input_tokens: 1, output_tokens: 0 } } },
    },
    {
      name: `${target.model}: its refusal is free`,
      target,
      endpoint: "embeddings",
      stream: false,
      answers: [json(target.wire.refusal(500, "busy", ECHO), 500)],
      expected: { booked: "nothing", status: BAD_GATEWAY, fails: true },
    },
    {
      name: `${target.model}: a gateway that gave up is not`,
      target,
      endpoint: "embeddings",
      stream: false,
      answers: [json(target.wire.refusal(504, "late", ECHO), 504)],
      expected: { booked: "bound", status: BAD_GATEWAY, fails: true },
    },
  ]),
  {
    name: "text-embedding-3-small: status 200 with an error for a body is the provider's refusal",
    target: EMBEDDING_3,
    endpoint: "embeddings",
    stream: false,
    answers: [json({ error: { message: ECHO, code: 502 } })],
    expected: { booked: "nothing", status: BAD_GATEWAY, fails: true },
  },
  {
    name: "gemini-embedding-001: a text; it never says what it counted",
    target: GEMINI_EMBEDDING,
    endpoint: "embeddings",
    stream: false,
    answers: [json({ embedding: { values: [0.5, 0.25] }, embeddings: [{ values: [0.5, 0.25] }] })],
    expected: { booked: { atLeast: { input_tokens: 4, output_tokens: 0 } }, seen: ["0.25"] },
  },
  {
    name: "gemini-embedding-001: 101 texts are more than it takes: refused before anything is held",
    target: GEMINI_EMBEDDING,
    endpoint: "embeddings",
    stream: false,
    request: { input: Array.from({ length: 101 }, (_, at) => `text ${at}`) },
    answers: [json({})],
    expected: { booked: "not held", status: 400, fails: true },
  },
];

export const oddityCases: WireCase[] = [
  ...unreadable,
  ...tools,
  ...seen,
  ...sent,
  ...chat,
  ...embeddings,
];
