// How many input tokens a prompt can be at most. Tokenizers are slow on hostile input; bytes are not.
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";

/** Tokens that an image may count, whatever its size: the dearest published is below (gpt-4o-mini, high detail). */
const IMAGE_TOKENS = 50_000;
/** Tokens of another file that is named by its address, and so has no size here: a model's page limit, about. */
const REMOTE_FILE_TOKENS = 200_000;
/** Tokens around a message and around the prompt that no byte of it shows. */
const MESSAGE_TOKENS = 16;

const encoder = new TextEncoder();
const bytesOf = (text: string) => encoder.encode(text).length;

/** Upper bound: a text token is at least one byte of UTF-8; files have a stated allowance. */
export function inputTokenBound({
  prompt,
  tools,
  responseFormat,
}: LanguageModelV4CallOptions): number {
  let bound = MESSAGE_TOKENS + bytesOf(JSON.stringify([tools ?? [], responseFormat ?? null]));
  for (const message of prompt) {
    bound += MESSAGE_TOKENS;
    if (typeof message.content === "string") {
      bound += bytesOf(message.content);
      continue;
    }
    for (const part of message.content) {
      bound += part.type === "file" ? fileTokenBound(part) : bytesOf(JSON.stringify(part));
    }
  }
  return bound;
}

function fileTokenBound(part: { mediaType: string; data: unknown }): number {
  if (part.mediaType.startsWith("image")) return IMAGE_TOKENS;
  const data = part.data as { type?: string; data?: unknown; text?: string };
  if (data.type === "text") return bytesOf(data.text ?? "");
  if (data.type === "data" && typeof data.data === "string") return data.data.length;
  if (data.type === "data" && data.data instanceof Uint8Array) return data.data.length;
  return REMOTE_FILE_TOKENS;
}
