// A chat without tools is streamed without streamText: it must not show.
import type { LanguageModelV4, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { readUIMessageStream, streamText, type UIMessage, type UIMessageChunk } from "ai";
import { expect, it } from "vitest";
import { errorText, oneCall } from "../../functions/chat/one_call.ts";

type Part = LanguageModelV4StreamPart;

const finish = (unified: "stop" | "length" | "interrupted" | "error"): Part => ({
  type: "finish",
  finishReason: { unified, raw: undefined },
  usage: {
    inputTokens: { total: 9, noCache: 9, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 2, text: 2, reasoning: 0 },
  },
});
const begin: Part[] = [
  { type: "stream-start", warnings: [] },
  { type: "response-metadata", id: "r", modelId: "m" },
];
const text: Part[] = [
  { type: "text-start", id: "1" },
  { type: "text-delta", id: "1", delta: "Hel" },
  { type: "text-delta", id: "1", delta: "" },
  { type: "text-delta", id: "1", delta: "", providerMetadata: { openai: { itemId: "i" } } },
  { type: "text-delta", id: "1", delta: "lo" },
  { type: "text-end", id: "1", providerMetadata: { openai: { itemId: "i" } } },
];

const STREAMS: Record<string, Part[]> = {
  "a text": [...begin, ...text, finish("stop")],
  "a text that was cut": [...begin, ...text, finish("length")],
  "a text that broke off": [...begin, ...text.slice(0, 2), finish("interrupted")],
  "a text without an end": [...begin, ...text],
  "thoughts, sources and files": [
    ...begin,
    { type: "reasoning-start", id: "0", providerMetadata: { anthropic: { a: 1 } } },
    { type: "reasoning-delta", id: "0", delta: "Hm" },
    { type: "reasoning-delta", id: "0", delta: "" },
    { type: "reasoning-end", id: "0", providerMetadata: { anthropic: { signature: "s" } } },
    { type: "source", sourceType: "url", id: "s", url: "https://x.y" },
    { type: "file", mediaType: "image/png", data: { type: "data", data: "AAAA" } },
    { type: "raw", rawValue: {} },
    ...text,
    finish("stop"),
  ],
  "an error after the first token": [
    ...begin,
    ...text.slice(0, 2),
    { type: "error", error: new Error("a secret") },
  ],
  "an error, and an end after it": [
    ...begin,
    ...text.slice(0, 2),
    { type: "error", error: { type: "overloaded_error", message: "a secret" } },
    finish("error"),
  ],
};

function modelOf(parts: Part[]): LanguageModelV4 {
  return {
    specificationVersion: "v4",
    ...{ provider: "p", modelId: "m", supportedUrls: {} },
    doGenerate: () => Promise.reject(new Error("It streams.")),
    doStream: async () => ({ stream: ReadableStream.from(parts) as ReadableStream<Part> }),
  };
}

async function all(parts: AsyncIterable<UIMessageChunk>): Promise<UIMessageChunk[]> {
  const chunks: UIMessageChunk[] = [];
  for await (const chunk of parts) chunks.push(chunk);
  return chunks;
}

/** The message that useChat makes of it. */
async function shown(chunks: UIMessageChunk[]): Promise<UIMessage | undefined> {
  let last: UIMessage | undefined;
  const stream = ReadableStream.from(chunks) as ReadableStream<UIMessageChunk>;
  for await (const message of readUIMessageStream({ stream, onError: () => {} })) last = message;
  return last && { ...last, id: "" };
}

/** streamText says metadata of a text again with each piece that follows. */
const withoutEchoes = (chunks: UIMessageChunk[]) =>
  chunks.map((chunk) =>
    chunk.type === "text-delta" ? { ...chunk, providerMetadata: undefined } : chunk,
  );

it.each(Object.entries(STREAMS))("%s is streamed as streamText streams it", async (_, parts) => {
  const call = { messages: [{ role: "user" as const, content: "Hi" }] };
  const failures = { ours: 0, theirs: 0 };
  const ours = await all(
    await oneCall({ ...call, model: modelOf(parts) }, () => {
      failures.ours++;
    }),
  );
  const result = streamText({
    ...call,
    model: modelOf(parts),
    onError: () => {
      failures.theirs++;
    },
  });
  const theirs = await all(result.toUIMessageStream({ onError: errorText }));
  expect(withoutEchoes(ours)).toEqual(withoutEchoes(theirs));
  expect(await shown(ours)).toEqual(await shown(theirs));
  expect(failures.ours).toBe(failures.theirs);
});
