// What a text that is spoken may cost at most.
import type { Usage } from "../../gate/gate.ts";
import type { Product } from "../model_name.ts";
import { bytesOf } from "./token_bound.ts";

/** What OpenAI takes at once: platform.openai.com/docs/api-reference/audio/createSpeech. */
export const MOST_CHARACTERS = 4096;

/**
 * Tokens of audio that a byte of a text is spoken in. A token is 50 ms (https://developers.openai.com/api/docs/guides/realtime-costs),
 * so this is a pace of 1.7 bytes a second, a ninth of the usual: https://github.com/sanand0/blog, posts/2025/openai-tts-cost.md, was
 * billed 5,262 tokens for 4,096 characters. A digit is a byte, and a sign of four bytes is read out as several words. OpenAI states no
 * most for what it speaks.
 */
const TOKENS_PER_BYTE = 12;
/** Of silence around a text, and of a pause in it. */
const SILENCE_TOKENS = 500;

/** Whether a model's speech is charged by tokens: what it used stands in its events. Older ones are charged by characters. */
export function isSpeechByTokens({ provider, model }: Product): boolean {
  return provider === "openai" && !/^tts-1/.test(model);
}

export function charactersOf(text: string): number {
  return [...text].length;
}

interface Speech {
  input: string;
  instructions?: string | null;
  speed?: number | null;
}

/** By the model's own meter: characters exactly, tokens as a bound. */
export function speechBound({ input, instructions, speed }: Speech, product: Product): Usage {
  if (!isSpeechByTokens(product)) {
    return { ...product, input_tokens: 0, output_tokens: 0, characters: charactersOf(input) };
  }
  const spoken = (bytesOf(input) * TOKENS_PER_BYTE) / Math.min(speed ?? 1, 1);
  return {
    ...product,
    // A token of a text is at least one byte; the rest is its frame.
    input_tokens: bytesOf(input) + bytesOf(instructions ?? "") + 64,
    output_tokens: Math.ceil(spoken) + SILENCE_TOKENS,
  };
}
