// Every way in which an answer can end, on every format.
import { events, json, type Piece, type RawAnswer } from "../provider.ts";
import { streamOf, type Told } from "../shapes/wire.ts";
import type { Expected, Target, WireCase } from "./case.ts";
import { CLAUDE, FORMATS, GEMINI } from "./targets.ts";

const TEXT = "one two three four five six seven eight nine ten";
const WORDS = 10;
/** Nobody's words and digits: it must not reach the client. */
export const ECHO = "account acct_canary_9 said no";
/** Below what the prompt's bound is here, so that a bound covers what was reported. */
const INPUT = 100;
const OUTPUT = 500;
const REPORT = { input_tokens: INPUT, output_tokens: OUTPUT };
/** The bound of the input is not known here: what came must be paid, whatever was read. */
const VISIBLE = { atLeast: { input_tokens: 0, output_tokens: WORDS } };
const BAD_GATEWAY = [502, 503, 504];

interface Ending {
  stream: boolean;
  answer(target: Target): RawAnswer;
  expected: Expected | ((target: Target) => Expected);
  request?: Record<string, unknown>;
}

const told = ({ wire }: Target, more: Told = {}): Told => ({
  text: TEXT,
  usage: wire.usage(INPUT, OUTPUT),
  ...more,
});
const streamed = (target: Target, more: Told = {}) => streamOf(target.wire, told(target, more));
const whole = (target: Target, more: Told = {}) => json(target.wire.whole(told(target, more)));

/** The stream up to the end of its content, and no more. */
const begun = (target: Target, more: Told = {}): string[] => [
  ...target.wire.begin(told(target, more)),
  ...target.wire.content(told(target, more)),
];

function bytes(pieces: Piece[]): Uint8Array {
  return Buffer.from(pieces.join(""));
}

/** Cut anywhere, in the middle of characters too. */
function shredded(pieces: Piece[], size: number): Uint8Array[] {
  const all = bytes(pieces);
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) =>
    all.subarray(at * size, (at + 1) * size),
  );
}

const TOOL = {
  type: "function",
  function: {
    name: "weather",
    parameters: { type: "object", properties: { city: { type: "string" } } },
  },
};
const WITH_TOOL = { tools: [TOOL] };
const PARIS = { id: "call_1", name: "weather", arguments: '{"city":"Paris"}' };
const NO_ARGUMENTS = { id: "call_1", name: "weather", arguments: "" };

const finished: Expected = { booked: { exactly: REPORT }, text: TEXT, finish: "stop" };
const calledTool = (input: string): Expected => ({
  booked: { exactly: REPORT },
  finish: "tool_calls",
  tools: [{ name: "weather", arguments: input }],
});
const refusedBy = (status: number, message = ECHO) => ({
  answer: ({ wire }: Target): RawAnswer =>
    json(wire.refusal(status, "some_code", message), status, { "retry-after": "7" }),
});
const cut: Expected = { booked: VISIBLE, fails: true, finish: null, text: TEXT };
const unread: Expected = { booked: "bound", status: BAD_GATEWAY, fails: true, finish: null };
const free: Expected = { booked: "nothing", fails: true, finish: null };

const ENDINGS: Record<string, Ending> = {
  "answers 10 words, streamed": {
    stream: true,
    answer: (target) => events(streamed(target)),
    expected: finished,
  },
  "answers 10 words, whole": { stream: false, answer: (t) => whole(t), expected: finished },
  "streams with comments and CRLF": {
    stream: true,
    answer: (target) =>
      events([
        ": keep-alive\r\n\r\n",
        ...streamed(target).map((piece) => `: wait\r\n\r\n${piece}`.replaceAll("\n", "\r\n")),
      ]),
    expected: finished,
  },
  "streams emoji in pieces of 7 bytes": {
    stream: true,
    answer: (target) =>
      events(shredded(streamed(target, { text: "ça va 👩‍👩‍👧‍👦 très 日本語" }), 7)),
    expected: { ...finished, text: "ça va 👩‍👩‍👧‍👦 très 日本語" },
  },
  "streams all in one piece": {
    stream: true,
    answer: (target) => events([bytes(streamed(target))]),
    expected: finished,
  },
  "stops at its limit, streamed": {
    stream: true,
    answer: (target) => events(streamed(target, { finish: "length" })),
    expected: { ...finished, finish: "length" },
  },
  "stops at its limit, whole": {
    stream: false,
    answer: (target) => whole(target, { finish: "length" }),
    expected: { ...finished, finish: "length" },
  },
  "filters its answer, streamed": {
    stream: true,
    answer: (target) => events(streamed(target, { finish: "filter" })),
    expected: { ...finished, finish: "content_filter" },
  },
  "filters its answer, whole": {
    stream: false,
    answer: (target) => whole(target, { finish: "filter" }),
    expected: { ...finished, finish: "content_filter" },
  },
  "calls a tool, streamed": {
    stream: true,
    request: WITH_TOOL,
    answer: (t) => events(streamed(t, { text: undefined, tools: [PARIS], finish: "tools" })),
    expected: calledTool(PARIS.arguments),
  },
  "calls a tool, whole": {
    stream: false,
    request: WITH_TOOL,
    answer: (t) => whole(t, { text: undefined, tools: [PARIS], finish: "tools" }),
    expected: calledTool(PARIS.arguments),
  },
  "calls a tool without arguments, streamed": {
    stream: true,
    request: WITH_TOOL,
    answer: (t) => events(streamed(t, { text: undefined, tools: [NO_ARGUMENTS], finish: "tools" })),
    expected: calledTool("{}"),
  },
  "says nothing of its usage, streamed": {
    stream: true,
    answer: (target) => events(streamed(target, { usage: undefined })),
    expected: (target) => ({
      booked: VISIBLE,
      text: TEXT,
      ...(target === CLAUDE ? {} : { finish: "stop" }),
    }),
  },
  "says nothing of its usage, whole": {
    stream: false,
    answer: (target) => whole(target, { usage: undefined }),
    expected: { booked: "bound", text: TEXT, finish: "stop" },
  },
  "says that 10 words were 0 tokens, streamed": {
    stream: true,
    answer: (target) => events(streamed(target, { usage: target.wire.usage(INPUT, 0) })),
    expected: { booked: { atLeast: { input_tokens: INPUT, output_tokens: WORDS } }, text: TEXT },
  },
  "says that 10 words were 0 tokens, whole": {
    stream: false,
    answer: (target) => whole(target, { usage: target.wire.usage(INPUT, 0) }),
    expected: { booked: { atLeast: { input_tokens: INPUT, output_tokens: WORDS } }, text: TEXT },
  },
  "says that 10 words were 3 tokens, streamed": {
    stream: true,
    answer: (target) => events(streamed(target, { usage: target.wire.usage(INPUT, 3) })),
    expected: { booked: { atLeast: { input_tokens: INPUT, output_tokens: WORDS } }, text: TEXT },
  },
  "says more than its own limit, streamed": {
    stream: true,
    answer: (target) => events(streamed(target, { usage: target.wire.usage(90_000, 70_000) })),
    expected: { ...finished, booked: { exactly: { input_tokens: 90_000, output_tokens: 70_000 } } },
  },
  "breaks off after 10 words": {
    stream: true,
    answer: (target) => events(begun(target), "cut"),
    expected: cut,
  },
  "closes after 10 words, as if all had been said": {
    stream: true,
    answer: (target) => events(begun(target)),
    expected: cut,
  },
  "breaks off after 10 words, in the middle of a line": {
    stream: true,
    answer: (target) => events([...begun(target), 'data: {"cho'], "cut"),
    expected: cut,
  },
  "breaks off in the middle of an answer that does not stream": {
    stream: false,
    answer: (target) => ({
      headers: { "content-type": "application/json", "content-length": "99999" },
      pieces: [JSON.stringify(target.wire.whole(told(target))).slice(0, -40)],
      ending: "cut",
    }),
    expected: unread,
  },
  "breaks off before a byte of the answer": {
    stream: false,
    answer: () => ({ headers: { "content-type": "application/json" }, ending: "cut" }),
    expected: unread,
  },
  "closes a stream without an event": {
    stream: true,
    answer: () => events([]),
    expected: unread,
  },
  "says an error before the first token": {
    stream: true,
    answer: (target) => events([...target.wire.begin(told(target)), target.wire.failure(ECHO)]),
    expected: { ...free, status: [...BAD_GATEWAY, 429] },
  },
  "says an error after 10 words": {
    stream: true,
    answer: (target) => events([...begun(target), target.wire.failure(ECHO)]),
    expected: cut,
  },
  "sends a first event that is not JSON": {
    stream: true,
    answer: (target) => events(['data: {"choices":[{"delta":{"cont\n\n', ...streamed(target)]),
    expected: { booked: VISIBLE, status: [200, 502], fails: true, finish: null },
  },
  "sends a page of HTML with status 200, streamed": {
    stream: true,
    answer: () => ({ headers: { "content-type": "text/html" }, pieces: ["<html>busy</html>"] }),
    expected: unread,
  },
  "sends a page of HTML with status 200, whole": {
    stream: false,
    answer: () => ({ headers: { "content-type": "text/html" }, pieces: ["<html>busy</html>"] }),
    expected: unread,
  },
  "sends an empty object with status 200": {
    stream: false,
    answer: () => json({}),
    expected: { booked: { atLeast: { input_tokens: 0, output_tokens: 0 } }, status: [200, 502] },
  },
  "never answers, streamed": {
    stream: true,
    answer: () => ({ ...events([": thinking\n\n"]), ending: "hang" }),
    expected: unread,
  },
  "never answers, whole": {
    stream: false,
    answer: () => ({ headers: { "content-type": "application/json" }, ending: "hang" }),
    expected: unread,
  },
  "says 10 words and then nothing": {
    stream: true,
    answer: (target) => events(begun(target), "hang"),
    expected: cut,
  },
  "answers 400, whole": {
    ...refusedBy(400),
    stream: false,
    expected: { ...free, status: 400 },
  },
  "answers 400, streamed": { ...refusedBy(400), stream: true, expected: { ...free, status: 400 } },
  "answers 401": { ...refusedBy(401), stream: false, expected: { ...free, status: [502, 503] } },
  "answers 403": { ...refusedBy(403), stream: false, expected: { ...free, status: [502, 503] } },
  "answers 404": { ...refusedBy(404), stream: false, expected: { ...free, status: [400, 404] } },
  "answers 413": { ...refusedBy(413), stream: false, expected: { ...free, status: [400, 413] } },
  "answers 429 and 7 s, whole": {
    ...refusedBy(429),
    stream: false,
    expected: { ...free, status: [429, 503], retryAfter: "7" },
  },
  "answers 429 and 7 s, streamed": {
    ...refusedBy(429),
    stream: true,
    expected: { ...free, status: [429, 503], retryAfter: "7" },
  },
  "answers 500": { ...refusedBy(500), stream: true, expected: { ...free, status: BAD_GATEWAY } },
  "answers 503 and 7 s": {
    ...refusedBy(503),
    stream: true,
    expected: { ...free, status: BAD_GATEWAY, retryAfter: "7" },
  },
  "answers 529": { ...refusedBy(529), stream: true, expected: { ...free, status: BAD_GATEWAY } },
  ...Object.fromEntries(
    [408, 499, 504, 524].map((status) => [
      `answers ${status}: somebody in between gave up`,
      { ...refusedBy(status), stream: true, expected: unread },
    ]),
  ),
};

export const endingCases: WireCase[] = Object.entries(FORMATS).flatMap(([format, target]) =>
  Object.entries(ENDINGS).map(([ending, { stream, answer, request, expected }]) => ({
    name: `${format} ${ending}`,
    target,
    stream,
    request,
    answers: [answer(target)],
    expected: typeof expected === "function" ? expected(target) : expected,
  })),
);

/** SPENDGATE_MAX_OUTPUT_TOKENS, where nothing is set. */
const DEFAULT_LIMIT = 4096;

/** Hung up on: before a token, and after some. */
export const hangUpCases: WireCase[] = Object.entries(FORMATS).flatMap(([format, target]) => {
  const begin = target.wire.begin(told(target));
  return [
    {
      name: `${format}: a client that leaves before the first token pays the bound`,
      target,
      stream: true,
      answers: [events([...begin, ": thinking\n\n"], "hang")],
      leavesAfterMs: 400,
      expected: {
        // Claude has said by then what the prompt counted; of the output nobody knows.
        booked:
          target === CLAUDE
            ? { atLeast: { input_tokens: INPUT, output_tokens: DEFAULT_LIMIT } }
            : ("bound" as const),
      },
    },
    {
      name: `${format}: a client that leaves after 10 words pays for 10 at least`,
      target,
      stream: true,
      answers: [events(begun(target), "hang")],
      leavesAfterMs: 400,
      expected: {
        booked: {
          atLeast: {
            input_tokens: target === CLAUDE || target === GEMINI ? INPUT : 0,
            output_tokens: WORDS,
          },
        },
      },
    },
    {
      name: `${format}: a client that leaves an answer that does not stream pays the bound`,
      target,
      stream: false,
      answers: [{ headers: { "content-type": "application/json" }, ending: "hang" as const }],
      leavesAfterMs: 400,
      expected: { booked: "bound" as const },
    },
  ];
});
