// The events of the Responses API: those that OpenAI's SDK knows, those that the reference promises, those that come.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { LanguageModelV4StreamPart, LanguageModelV4Usage } from "@ai-sdk/provider";
import { expect, it } from "vitest";
import { SpendgateError } from "../../functions/_shared/errors.ts";
import type { FinishReason } from "../../functions/_shared/llm/finish_reason.ts";
import type { AnswerPart } from "../../functions/openai/model_call.ts";
import type { ResponseRequest } from "../../functions/openai/responses/request.ts";
import { partsOf, ResponseFormat } from "../../functions/openai/responses/response.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { eventsOf } from "../support/messages.ts";

const read = (path: string) => readFileSync(join(PROJECT, path), "utf8");

/** The types of the events in the SDK's own declarations. */
function sdkTypes(): string[] {
  const declarations = read("node_modules/openai/resources/responses/responses.d.ts");
  const [, union = ""] = /export type ResponseStreamEvent = ([^;]+);/.exec(declarations) ?? [];
  return union.split("|").map((name) => {
    const [, body = ""] =
      new RegExp(`export interface ${name.trim()} \\{(.*?)\\n\\}`, "s").exec(declarations) ?? [];
    return /^ {4}type: '([^']+)'/m.exec(body)?.[1] ?? `${name.trim()} without a type`;
  });
}

/** The rows of the reference: a type, and when it comes. */
function documented(): [string, string][] {
  const [, table = ""] = read("docs/reference/responses.md").split("## Events");
  return [...table.matchAll(/^\| `([\w.]+)` \| (.*) \|$/gm)].map(([, type = "", when = ""]) => [
    type,
    when,
  ]);
}

const USAGE: LanguageModelV4Usage = {
  inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
};
const request = {
  model: "openai/gpt-5",
  input: "Hello",
  include: ["reasoning.encrypted_content"],
} as ResponseRequest;
const formatOf = (body = request) =>
  new ResponseFormat(body, { calls: [{ reservationId: "1" }] } as never);

const openai = (fields: object) => ({ providerMetadata: { openai: fields } }) as object;
const PARTS = [
  { type: "reasoning-start", id: "rs:0", ...openai({ itemId: "rs" }) },
  { type: "reasoning-delta", id: "rs:0", delta: "let me ", ...openai({ itemId: "rs" }) },
  { type: "reasoning-start", id: "rs:1", ...openai({ itemId: "rs" }) },
  { type: "reasoning-delta", id: "rs:1", delta: "see", ...openai({ itemId: "rs" }) },
  {
    type: "reasoning-end",
    id: "rs:1",
    ...openai({ itemId: "rs", reasoningEncryptedContent: "gAA" }),
  },
  { type: "text-start", id: "1", ...openai({ phase: "commentary" }) },
  { type: "text-delta", id: "1", delta: "Hel" },
  { type: "tool-input-start", id: "call_1", toolName: "weather" },
  { type: "tool-input-start", id: "call_2", toolName: "time" },
  { type: "tool-input-delta", id: "call_1", delta: '{"a":' },
  { type: "tool-input-delta", id: "call_2", delta: "{}" },
  { type: "tool-input-delta", id: "call_1", delta: "1}" },
  { type: "tool-call", toolCallId: "call_1", toolName: "weather", input: '{"a":1}' },
  { type: "tool-call", toolCallId: "call_2", toolName: "time", input: "{}" },
  { type: "tool-call", toolCallId: "call_3", toolName: "none", input: "" },
  {
    type: "tool-call",
    toolCallId: "call_4",
    toolName: "theirs",
    input: "{}",
    providerExecuted: true,
  },
  { type: "text-delta", id: "1", delta: "lo" },
  { type: "file", mediaType: "image/png", data: { type: "data", data: "iVBO" } },
] as LanguageModelV4StreamPart[] as AnswerPart[];

function play(parts: AnswerPart[], ending: FinishReason | SpendgateError, format = formatOf()) {
  const text = [
    format.begin(),
    ...parts.map((part) => format.write(part)),
    ending instanceof SpendgateError ? format.fail(ending) : format.finish(ending, USAGE),
    format.end([]),
  ];
  return eventsOf(text.join(""));
}

const failure = new SpendgateError("upstream_error", "The model's provider failed.");
const STREAMS = {
  whole: play(PARTS, "stop"),
  "cut short": play(PARTS, "length"),
  failed: play(PARTS.slice(0, 10), failure),
  "with nothing in it": play([], "stop"),
};

it("The reference has each event that OpenAI's SDK knows, once", () => {
  const types = sdkTypes();
  expect(types.length).toBeGreaterThan(50);
  expect(
    documented()
      .map(([type]) => type)
      .sort(),
  ).toEqual(types.sort());
});

it("Those come that the reference does not say never come, and no others", () => {
  const coming = documented().filter(([, when]) => !when.startsWith("never"));
  const came = new Set(Object.values(STREAMS).flatMap((events) => events.map(({ type }) => type)));
  expect([...came].sort()).toEqual(coming.map(([type]) => type).sort());
});

it.each(Object.entries(STREAMS))("A stream %s is numbered, begins and ends once", (_, events) => {
  expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
  const ends = events.filter(({ type }) => /^response\.(completed|incomplete|failed)$/.test(type));
  expect(ends).toEqual([events.at(-1)]);
  expect(events.slice(0, 2).map(({ type }) => type)).toEqual([
    "response.created",
    "response.in_progress",
  ]);
});

it("Each item is added, then told in pieces that make up what it is at its end", () => {
  const events = STREAMS.whole;
  const { output } = events.at(-1).response;
  expect(output.map(({ type }: { type: string }) => type)).toEqual([
    ...["reasoning", "message", "function_call", "function_call", "function_call"],
    ...["message", "image_generation_call"],
  ]);
  for (const [index, item] of output.entries()) {
    const own = events.filter((event) => event.output_index === index);
    expect(own[0]).toMatchObject({ type: "response.output_item.added", item: { id: item.id } });
    expect(own.at(-1)).toMatchObject({ type: "response.output_item.done", item });
    expect(own.slice(1, -1).every((event) => event.item_id === item.id)).toBe(true);
    const deltas = own.map(({ delta = "" }) => delta).join("");
    if (item.type === "message") expect(item.content[0].text).toBe(deltas);
    if (item.type === "function_call") expect(item.arguments).toBe(deltas);
    if (item.type === "reasoning") expect(deltas).toBe("let me see");
  }
  expect(output[0]).toMatchObject({
    summary: [{ text: "let me " }, { text: "see" }],
    encrypted_content: "gAA",
  });
  expect(output[1]).toMatchObject({ phase: "commentary", content: [{ text: "Hel" }] });
  expect(output[4]).toMatchObject({ call_id: "call_3", arguments: "{}", status: "completed" });
  expect(output[6]).toMatchObject({ result: "iVBO", status: "completed" });
});

it("An answer that is cut short says which of its items are", () => {
  const { response } = play(PARTS.slice(0, 10), "length").at(-1);
  expect(response).toMatchObject({
    status: "incomplete",
    incomplete_details: { reason: "max_output_tokens" },
    output: [{}, { status: "completed" }, { status: "incomplete" }, { status: "incomplete" }],
  });
});

it("An answer that fails has an error, and then says that it failed", () => {
  const [error, failed] = STREAMS.failed.slice(-2);
  const said = { code: "upstream_error", message: "The model's provider failed." };
  expect(error).toMatchObject({ type: "error", ...said, error: { type: "api_error", ...said } });
  expect(failed).toMatchObject({
    type: "response.failed",
    response: { status: "failed", error: said, usage: null },
  });
});

it("Reasoning is shown where it is asked for, and encrypted where that is", () => {
  const itemsOf = (fields: object) =>
    play(PARTS.slice(0, 7), "stop", formatOf({ ...request, include: null, ...fields })).at(-1)
      .response.output;
  expect(itemsOf({})).toMatchObject([{ type: "message" }]);
  expect(itemsOf({ reasoning: { summary: "auto" } })).toMatchObject([
    { type: "reasoning", encrypted_content: null },
    { type: "message" },
  ]);
});

it("An answer that came whole is the same as one that streamed", () => {
  const format = formatOf();
  const content = [
    { type: "reasoning", text: "let me ", ...openai({ itemId: "rs" }) },
    {
      type: "reasoning",
      text: "see",
      ...openai({ itemId: "rs", reasoningEncryptedContent: "gAA" }),
    },
    { type: "text", text: "Hel", ...openai({ phase: "commentary" }) },
    { type: "tool-call", toolCallId: "call_1", toolName: "weather", input: '{"a":1}' },
    { type: "tool-call", toolCallId: "call_2", toolName: "time", input: "{}" },
    { type: "tool-call", toolCallId: "call_3", toolName: "none", input: "" },
    { type: "text", text: "lo", ...openai({ phase: "commentary" }) },
    { type: "file", mediaType: "image/png", data: { type: "data", data: "iVBO" } },
  ];
  for (const part of partsOf(content as never)) format.write(part);
  format.finish("stop", USAGE);
  const streamed = STREAMS.whole.at(-1).response;
  expect(format.response.output).toEqual(streamed.output);
  expect(format.response).toMatchObject({ status: "completed", usage: streamed.usage });
});
