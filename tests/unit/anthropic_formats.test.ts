// Every event and block that Anthropic's official SDK knows: produced or not, taken or not. What the SDK learns is missing
// in these tables, and the type check fails; what they say is tried.

import type { LanguageModelV4StreamPart, LanguageModelV4Usage } from "@ai-sdk/provider";
import type Anthropic from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import { Receipt } from "../../functions/_shared/gate/receipt.ts";
import { readEnv } from "../../functions/_shared/runtime/env.ts";
import { EventWriter } from "../../functions/anthropic/event_writer.ts";
import { messageRequest } from "../../functions/anthropic/message_request.ts";

type Verdict = "yes" | `no: ${string}`;
const SERVER_TOOL = "no: the tools that Anthropic runs are refused" as const;

/** Events of a stream. The SDK's types leave out two that the API sends. */
const EVENTS: Record<Anthropic.MessageStreamEvent["type"] | "ping" | "error", Verdict> = {
  message_start: "yes",
  ping: "yes",
  content_block_start: "yes",
  content_block_delta: "yes",
  content_block_stop: "yes",
  message_delta: "yes",
  message_stop: "yes",
  error: "yes",
};

const DELTAS: Record<Anthropic.RawContentBlockDelta["type"], Verdict> = {
  text_delta: "yes",
  input_json_delta: "yes",
  thinking_delta: "yes",
  signature_delta: "yes",
  citations_delta: "no: citations are refused in requests",
};

/** Blocks of an answer, and one that is ours: what a model drew. */
const BLOCKS: Record<Anthropic.ContentBlock["type"] | "image", Verdict> = {
  text: "yes",
  thinking: "yes",
  redacted_thinking: "yes",
  tool_use: "yes",
  image: "yes",
  server_tool_use: SERVER_TOOL,
  web_search_tool_result: SERVER_TOOL,
  web_fetch_tool_result: SERVER_TOOL,
  code_execution_tool_result: SERVER_TOOL,
  bash_code_execution_tool_result: SERVER_TOOL,
  text_editor_code_execution_tool_result: SERVER_TOOL,
  tool_search_tool_result: SERVER_TOOL,
  container_upload: "no: files that Anthropic keeps are refused",
};

/** Why an answer ends; `other` is ours, for what Anthropic has no word for. */
const STOPS: Record<Anthropic.StopReason, Verdict> = {
  end_turn: "yes",
  max_tokens: "yes",
  stop_sequence: "yes",
  tool_use: "yes",
  pause_turn: "yes",
  refusal: "yes",
  model_context_window_exceeded: "yes",
};

/** Blocks of a request, each with one that is right. */
const SENT: Record<Anthropic.ContentBlockParam["type"], [Verdict, object]> = {
  text: ["yes", { text: "x" }],
  image: ["yes", { source: { type: "url", url: "https://x.dev/a.png" } }],
  document: ["yes", { source: { type: "text", media_type: "text/plain", data: "x" } }],
  thinking: ["yes", { thinking: "x", signature: "s" }],
  redacted_thinking: ["yes", { data: "x" }],
  tool_use: ["yes", { id: "t", name: "n", input: {} }],
  tool_result: ["yes", { tool_use_id: "t", content: "x" }],
  search_result: ["no: the AI SDK has no place for it", { source: "s", title: "t", content: [] }],
  server_tool_use: [SERVER_TOOL, { id: "t", name: "web_search", input: {} }],
  web_search_tool_result: [SERVER_TOOL, { tool_use_id: "t", content: [] }],
  web_fetch_tool_result: [SERVER_TOOL, { tool_use_id: "t", content: {} }],
  code_execution_tool_result: [SERVER_TOOL, { tool_use_id: "t", content: {} }],
  bash_code_execution_tool_result: [SERVER_TOOL, { tool_use_id: "t", content: {} }],
  text_editor_code_execution_tool_result: [SERVER_TOOL, { tool_use_id: "t", content: {} }],
  tool_search_tool_result: [SERVER_TOOL, { tool_use_id: "t", content: {} }],
  container_upload: ["no: files that Anthropic keeps are refused", { file_id: "f" }],
};

const TOOLSET = "no: its members are tools that the AI SDK names otherwise" as const;
const TOOLS: Record<NonNullable<Anthropic.ToolUnion["type"]>, Verdict> = {
  custom: "yes",
  bash_20250124: "yes",
  memory_20250818: "yes",
  text_editor_20250124: "yes",
  text_editor_20250429: "yes",
  text_editor_20250728: "yes",
  browser_toolset_20260801: TOOLSET,
  computer_toolset_20260801: TOOLSET,
  code_execution_20250522: SERVER_TOOL,
  code_execution_20250825: SERVER_TOOL,
  code_execution_20260120: SERVER_TOOL,
  code_execution_20260521: SERVER_TOOL,
  web_search_20250305: SERVER_TOOL,
  web_search_20260209: SERVER_TOOL,
  web_search_20260318: SERVER_TOOL,
  web_fetch_20250910: SERVER_TOOL,
  web_fetch_20260209: SERVER_TOOL,
  web_fetch_20260309: SERVER_TOOL,
  web_fetch_20260318: SERVER_TOOL,
  tool_search_tool_bm25_20251119: SERVER_TOOL,
  tool_search_tool_regex_20251119: SERVER_TOOL,
  tool_search_tool_bm25: SERVER_TOOL,
  tool_search_tool_regex: SERVER_TOOL,
};

/** Fields of a request that are read; of the others it may only be said that they are not set. */
const FIELDS: Record<keyof Anthropic.MessageCreateParams, Verdict> = {
  model: "yes",
  messages: "yes",
  max_tokens: "yes",
  system: "yes",
  tools: "yes",
  tool_choice: "yes",
  thinking: "yes",
  output_config: "yes",
  cache_control: "yes",
  metadata: "yes",
  service_tier: "yes",
  speed: "yes",
  stop_sequences: "yes",
  stream: "yes",
  container: "no: what runs in it is not bounded",
  diagnostics: "no: it names an answer that Anthropic keeps",
  inference_geo: "no: it changes the price",
  user_profile_id: "no: it is of the project's account",
  workspace_id: "no: it is of the project's account",
};

const yes = (table: Record<string, Verdict | [Verdict, object]>) =>
  Object.keys(table).filter((name) => [table[name]].flat()[0] === "yes");

const usage = (): LanguageModelV4Usage => ({
  inputTokens: { total: 12, noCache: 5, cacheRead: 4, cacheWrite: 3 },
  outputTokens: { total: 7, text: 7, reasoning: 0 },
});
const finish = (raw = "stop", metadata?: object): LanguageModelV4StreamPart => ({
  type: "finish",
  usage: usage(),
  finishReason: { unified: raw === "stop" ? "stop" : "other", raw },
  ...(metadata && { providerMetadata: { anthropic: metadata as never } }),
});

interface Event {
  type: string;
  index?: number;
  delta?: Record<string, unknown>;
  content_block?: { type: string };
  usage?: object;
  error?: { type: string };
}

/** What a stream of these parts is, as events. */
function eventsOf(...parts: LanguageModelV4StreamPart[]): Event[] {
  const writer = new EventWriter("model", new Receipt());
  const text = parts.map((part) => writer.write(part)).join("") + writer.end([]);
  return text
    .split("\n\n")
    .filter((event) => event.startsWith("event: "))
    .map((event) => {
      const [name, data] = event.split("\n");
      const body = JSON.parse(data?.slice("data: ".length) ?? "");
      expect(name).toBe(`event: ${body.type}`);
      return body;
    });
}

/** Each block is begun, written and ended before the next. */
function expectInOrder(events: Event[]): void {
  let open: number | undefined;
  let blocks = 0;
  for (const { type, index } of events.filter(({ type }) => type.startsWith("content_block"))) {
    if (type === "content_block_start") {
      expect([open, index]).toEqual([undefined, blocks++]);
      open = index;
    } else expect(index).toBe(open ?? "an open block");
    if (type === "content_block_stop") open = undefined;
  }
  expect(open).toBeUndefined();
}

/** The kind of each block, and what was written of it. */
function blocksOf(events: Event[]): [string, string][] {
  const blocks: [string, string][] = [];
  for (const { content_block: block, delta, index } of events) {
    if (block) blocks.push([block.type, ""]);
    const written = blocks[index ?? -1];
    if (delta && written) {
      written[1] += delta.text ?? delta.thinking ?? delta.partial_json ?? "";
    }
  }
  return blocks;
}

const drawn = {
  choices: [{ delta: { images: [{ image_url: { url: `data:image/png;base64,iVBORw0KGgo=` } }] } }],
};
const signed = { anthropic: { signature: "s" } };
const WHOLE: LanguageModelV4StreamPart[] = [
  { type: "stream-start", warnings: [] },
  { type: "reasoning-start", id: "0" },
  { type: "reasoning-delta", id: "0", delta: "Hm." },
  { type: "reasoning-delta", id: "0", delta: "", providerMetadata: signed },
  { type: "reasoning-end", id: "0" },
  { type: "reasoning-start", id: "1", providerMetadata: { anthropic: { redactedData: "x" } } },
  { type: "reasoning-end", id: "1" },
  { type: "text-start", id: "2" },
  { type: "text-delta", id: "2", delta: "Hi" },
  { type: "text-end", id: "2" },
  { type: "tool-input-start", id: "a", toolName: "one" },
  { type: "tool-input-delta", id: "a", delta: '{"n":' },
  { type: "tool-input-start", id: "b", toolName: "two" },
  { type: "tool-input-delta", id: "b", delta: '{"m":2}' },
  { type: "tool-input-delta", id: "a", delta: "1}" },
  { type: "tool-call", toolCallId: "b", toolName: "two", input: '{"m":2}' },
  { type: "tool-call", toolCallId: "a", toolName: "one", input: '{"n":1}' },
  { type: "tool-call", toolCallId: "c", toolName: "three", input: "" },
  { type: "file", mediaType: "image/png", data: { type: "data", data: "iVBORw0KGgo=" } },
  finish(),
];

describe("A stream", () => {
  it("has every event, block and delta that is said to be produced, and no other", () => {
    const events = [
      ...eventsOf(...WHOLE),
      ...eventsOf({ type: "error", error: new Error("It broke.") }),
    ];
    const seen = <T>(of: (event: Event) => T | undefined) =>
      [...new Set(events.map(of).filter((each) => each !== undefined))].sort();
    expect(seen(({ type }) => type)).toEqual(yes(EVENTS).sort());
    expect(seen(({ content_block: block }) => block?.type)).toEqual(yes(BLOCKS).sort());
    expect(
      seen(({ type, delta }) => (type === "content_block_delta" ? delta?.type : undefined)),
    ).toEqual(yes(DELTAS).sort());
  });

  it("goes on with a text, or reasoning, that a call or an image has come into", () => {
    const events = eventsOf(
      { type: "reasoning-start", id: "r" },
      { type: "reasoning-delta", id: "r", delta: "Hm" },
      { type: "text-start", id: "0" },
      { type: "text-delta", id: "0", delta: "Hi" },
      { type: "tool-input-start", id: "a", toolName: "one" },
      { type: "text-delta", id: "0", delta: ", " },
      { type: "raw", rawValue: drawn },
      { type: "tool-input-delta", id: "a", delta: '{"n":1}' },
      { type: "tool-call", toolCallId: "a", toolName: "one", input: '{"n":1}' },
      { type: "text-delta", id: "0", delta: "you" },
      { type: "reasoning-delta", id: "r", delta: "!" },
      { type: "text-end", id: "0" },
      { type: "reasoning-delta", id: "r", delta: "?" },
      { type: "reasoning-end", id: "r" },
      finish(),
    );
    expectInOrder(events);
    expect(blocksOf(events)).toEqual([
      ["thinking", "Hm"],
      ["text", "Hi"],
      ["tool_use", '{"n":1}'],
      ["text", ", "],
      ["image", ""],
      ["text", "you"],
      ["thinking", "!?"],
    ]);
  });

  it("ends all that waits for a call which is never whole", () => {
    const events = eventsOf(
      { type: "text-start", id: "0" },
      { type: "text-delta", id: "0", delta: "Hi" },
      { type: "tool-input-start", id: "a", toolName: "one" },
      { type: "tool-input-start", id: "b", toolName: "two" },
      { type: "tool-input-delta", id: "b", delta: "{" },
      { type: "text-delta", id: "0", delta: "." },
      finish("length"),
    );
    expectInOrder(events);
    expect(blocksOf(events)).toEqual([
      ["text", "Hi"],
      ["tool_use", ""],
      ["tool_use", "{"],
      ["text", "."],
    ]);
  });

  it("writes one block after the other, though tools are called side by side", () => {
    const events = eventsOf(...WHOLE);
    expectInOrder(events);
    const inputs = events.flatMap(({ index, delta }) =>
      delta?.type === "input_json_delta" ? [[index, delta.partial_json]] : [],
    );
    expect(inputs).toEqual([
      [3, '{"n":'],
      [3, "1}"],
      [4, '{"m":2}'],
      [5, "{}"],
    ]);
    expect(events.map(({ type }) => type).slice(0, 2)).toEqual(["message_start", "ping"]);
    expect(events.map(({ type }) => type).slice(-2)).toEqual(["message_delta", "message_stop"]);
  });

  it("says what was used in all, the cache beside the input, and that a tool is to be called", () => {
    expect(eventsOf(...WHOLE).find(({ type }) => type === "message_delta")).toMatchObject({
      delta: { stop_reason: "tool_use" },
      usage: {
        ...{ input_tokens: 5, cache_read_input_tokens: 4, cache_creation_input_tokens: 3 },
        output_tokens: 7,
      },
    });
  });

  it.each(yes(STOPS))("of Claude ends by its own word: %s", (reason) => {
    const events = eventsOf(finish(reason, { stopSequence: "END" }));
    expect(events.find(({ type }) => type === "message_delta")?.delta).toMatchObject({
      ...{ stop_reason: reason, stop_sequence: "END" },
    });
  });

  it.each([
    ["length", "length", "max_tokens"],
    ["content-filter", "SAFETY", "refusal"],
    ["tool-calls", "tool_calls", "tool_use"],
    ["other", "repetition", "other"],
  ] as const)("of another provider by Anthropic's: %s, %s is %s", (unified, raw, reason) => {
    const events = eventsOf({ type: "finish", usage: usage(), finishReason: { unified, raw } });
    expect(events.find(({ type }) => type === "message_delta")?.delta).toMatchObject({
      stop_reason: reason,
    });
  });

  it.each([
    ["that has no end", []],
    ["that its provider ends by an error", [finish("error")]],
  ])("%s ends with an error, and without message_stop", (_, end) => {
    const events = eventsOf(
      { type: "text-start", id: "0" },
      { type: "text-delta", id: "0", delta: "Hi" },
      ...end,
    );
    expect(events.at(-1)).toMatchObject({ type: "error", error: { type: "api_error" } });
    expect(events.filter(({ type }) => type === "message_stop")).toEqual([]);
  });
});

describe("A request", () => {
  const env = readEnv({
    SUPABASE_URL: "http://localhost",
    SUPABASE_ANON_KEY: "key",
    SUPABASE_SERVICE_ROLE_KEY: "key",
  });
  const isTaken = (fields: object) =>
    messageRequest(env).safeParse({
      ...{ model: "claude-haiku-4-5", max_tokens: 10, messages: [{ role: "user", content: "x" }] },
      ...fields,
    }).success;

  it.each(Object.entries(SENT))("with a block %s: as the table says", (type, [verdict, block]) => {
    const inMessage = (role: string) => ({ messages: [{ role, content: [{ type, ...block }] }] });
    expect(isTaken(inMessage("user")) || isTaken(inMessage("assistant"))).toBe(verdict === "yes");
  });

  it.each(Object.entries(TOOLS))("with a tool %s: as the table says", (type, verdict) => {
    const tool = { type, name: "x", ...(type === "custom" && { input_schema: {} }) };
    expect(isTaken({ tools: [tool] })).toBe(verdict === "yes");
  });

  it("has every field that the table takes, and refuses the others by their names", () => {
    const known = Object.keys(
      (messageRequest(env) as unknown as { out: { shape: object } }).out.shape,
    );
    for (const field of yes(FIELDS)) expect(known).toContain(field);
    for (const [field, verdict] of Object.entries(FIELDS)) {
      if (verdict !== "yes") expect([field, isTaken({ [field]: "x" })]).toEqual([field, false]);
      if (verdict !== "yes") expect([field, isTaken({ [field]: null })]).toEqual([field, true]);
    }
  });
});
