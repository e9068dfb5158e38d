// What a transcription may use at most.
import { invalidRequest } from "../../errors.ts";
import type { Usage } from "../../gate/gate.ts";
import type { Product } from "../model_name.ts";
import { bytesOf } from "./token_bound.ts";

/** What OpenAI takes: platform.openai.com/docs/guides/speech-to-text. */
export const MOST_FILE_BYTES = 25 * 1024 * 1024;

/**
 * OpenAI counts a token of audio for each 100 ms of it
 * (https://developers.openai.com/api/docs/guides/realtime-costs); nobody says more than as many tokens of text.
 */
const TOKENS_PER_SECOND = 10;
/** An answer has 2,000 at most (https://developers.openai.com/api/docs/models/gpt-4o-transcribe), or as many as were said. */
const MOST_ANSWER_TOKENS = 2000;
/** Groq bills 10 seconds at least: https://console.groq.com/docs/speech-to-text, "Minimum Billed Length". */
const LEAST_SECONDS: Record<string, number> = { groq: 10 };
/** Of audio that is cut into pieces, each begins anew. */
const FRAME_TOKENS = 64;

/** Whether a model's transcriptions are charged by tokens, and not by the seconds of their audio. */
function isByTokens({ provider, model }: Product): boolean {
  return provider === "openai" && /^gpt-4o-(mini-)?transcribe/.test(model);
}

/**
 * By the model's own meter.
 * @throws SpendgateError invalid_request for a file whose length is not sure to be found.
 */
export async function transcriptionBound(
  file: Blob,
  prompt: string,
  product: Product,
): Promise<Usage> {
  // OpenAI reports whole seconds, rounded up.
  const seconds = Math.max(Math.ceil(await secondsOf(file)), LEAST_SECONDS[product.provider] ?? 0);
  if (!isByTokens(product)) {
    return { ...product, input_tokens: 0, output_tokens: 0, audio_seconds: seconds };
  }
  const audio = seconds * TOKENS_PER_SECOND;
  return {
    ...product,
    input_tokens: audio + bytesOf(prompt) + FRAME_TOKENS,
    audio_input_tokens: audio,
    output_tokens: Math.max(MOST_ANSWER_TOKENS, audio),
  };
}

async function secondsOf(file: Blob): Promise<number> {
  const { audioSeconds, UnboundedAudio } = await import("./audio/seconds.ts");
  try {
    return audioSeconds(new Uint8Array(await file.arrayBuffer()));
  } catch (error) {
    if (!(error instanceof UnboundedAudio)) throw error;
    const message = `The length of the audio cannot be bounded, so it is not sent: it is ${error.message}.`;
    throw invalidRequest([{ path: "file", message }]);
  }
}
