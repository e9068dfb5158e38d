// Usage of a model: as its provider reports it, and as far as it can be told when the provider does not.
import type { LanguageModelV4StreamPart, LanguageModelV4Usage } from "@ai-sdk/provider";
import type { Usage } from "./gate.ts";
import { bytesOf } from "./token_bound.ts";

/** Our usage of the SDK's: input includes the cache, output the reasoning. Undefined when it is not whole. */
export function toUsage({
  inputTokens,
  outputTokens,
  raw,
}: LanguageModelV4Usage): Usage | undefined {
  // No call has an empty prompt: a provider that reports 0 reports nothing.
  if (!inputTokens.total || outputTokens.total === undefined) return undefined;
  // Only Anthropic's own usage tells writes for an hour, which cost more, from those for five minutes.
  const creation = raw?.cache_creation as { ephemeral_1h_input_tokens?: number } | undefined;
  const hourly = creation?.ephemeral_1h_input_tokens ?? 0;
  const server = raw?.server_tool_use as { web_search_requests?: number } | undefined;
  const prompt = raw?.prompt_tokens_details as { audio_tokens?: number } | undefined;
  const completion = raw?.completion_tokens_details as { audio_tokens?: number } | undefined;
  return withoutZeros({
    input_tokens: inputTokens.total,
    output_tokens: outputTokens.total,
    cache_read_tokens: inputTokens.cacheRead,
    cache_write_tokens: (inputTokens.cacheWrite ?? 0) - hourly,
    cache_write_1h_tokens: hourly,
    reasoning_tokens: outputTokens.reasoning,
    audio_input_tokens: prompt?.audio_tokens,
    audio_output_tokens: completion?.audio_tokens,
    web_searches: server?.web_search_requests,
  });
}

function withoutZeros({
  input_tokens,
  output_tokens,
  ...parts
}: {
  input_tokens: number;
  output_tokens: number;
  [part: string]: number | undefined;
}): Usage {
  const counted = Object.entries(parts).filter(([, count]) => count) as [string, number][];
  return { input_tokens, output_tokens, ...Object.fromEntries(counted) };
}

interface AnthropicUsage {
  input_tokens?: number;
  output_tokens?: number;
  cache_read_input_tokens?: number | null;
  cache_creation_input_tokens?: number | null;
  cache_creation?: { ephemeral_1h_input_tokens?: number } | null;
}
interface GoogleUsage {
  promptTokenCount?: number;
  toolUsePromptTokenCount?: number;
  cachedContentTokenCount?: number;
}

/**
 * Input that a chunk of the provider's own stream reports before the end, as Anthropic's first and each of
 * Google's do; what was produced until then is counted, not reported.
 */
export function earlyInput(chunk: unknown): Usage | undefined {
  const { type, message, usageMetadata } = (chunk ?? {}) as {
    type?: string;
    message?: { usage?: AnthropicUsage };
    usageMetadata?: GoogleUsage;
  };
  if (type === "message_start" && message?.usage?.input_tokens) {
    const { usage } = message;
    const hourly = usage.cache_creation?.ephemeral_1h_input_tokens ?? 0;
    const [read, written] = [
      usage.cache_read_input_tokens ?? 0,
      usage.cache_creation_input_tokens ?? 0,
    ];
    return withoutZeros({
      input_tokens: (usage.input_tokens ?? 0) + read + written,
      output_tokens: 0,
      cache_read_tokens: read,
      cache_write_tokens: written - hourly,
      cache_write_1h_tokens: hourly,
    });
  }
  if (usageMetadata?.promptTokenCount) {
    return withoutZeros({
      input_tokens: usageMetadata.promptTokenCount + (usageMetadata.toolUsePromptTokenCount ?? 0),
      output_tokens: 0,
      cache_read_tokens: usageMetadata.cachedContentTokenCount,
    });
  }
}

/** What a tokenizer never merges: a word with the sign before it, three digits, a run of signs. */
const WORDS =
  /[^\r\n\p{L}\p{M}\p{N}]?[\p{L}\p{M}]+(?:['’]\p{L}{1,2})?|\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}]+/gu;

/** Counts what a stream has produced, without a tokenizer. */
export class Produced {
  #deltas = 0;
  #words = 0;
  #bytes = 0;

  add(part: LanguageModelV4StreamPart): void {
    const text =
      part.type === "text-delta" ||
      part.type === "reasoning-delta" ||
      part.type === "tool-input-delta"
        ? part.delta
        : "";
    if (text === "") return;
    this.#deltas += 1;
    this.#words += text.match(WORDS)?.length ?? 0;
    this.#bytes += bytesOf(text);
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** No fewer were produced: neither a word nor a chunk of a stream is less than a token. */
  get atLeast(): number {
    return Math.max(this.#deltas, this.#words);
  }

  /** As many as it was, about: four bytes a token, or what there was at least. */
  get about(): number {
    return Math.max(this.atLeast, Math.ceil(this.#bytes / 4));
  }
}
