// A model as prices and reservations name it.
import type { SpendgateError } from "../errors.ts";
import { invalidRequest } from "../errors.ts";

export interface Product {
  provider: string;
  model: string;
}

/** Names that are known without their provider in front. */
const FAMILIES: [RegExp, string][] = [
  [/^(ft:)?(gpt-|o\d|chatgpt-|text-embedding-)/, "openai"],
  [/^(whisper|tts|dall-e|(omni|text)-moderation)-/, "openai"],
  [/^claude-/, "anthropic"],
  [/^(gemini-|gemma-)/, "google"],
];

/**
 * `provider/model`, or a well-known bare name.
 * @throws SpendgateError invalid_request for a bare name of no known family.
 */
export function parseModelName(name: string): Product {
  const slash = name.indexOf("/");
  if (slash > 0 && slash < name.length - 1)
    return { provider: name.slice(0, slash), model: name.slice(slash + 1) };
  const family = slash < 0 && FAMILIES.find(([pattern]) => pattern.test(name))?.[1];
  if (!family) throw unusableModel("Write provider/model.");
  return { provider: family, model: name };
}

export function unusableModel(message: string): SpendgateError {
  return invalidRequest([{ path: "model", message }]);
}
