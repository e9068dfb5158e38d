// What a model takes and gives at most. Figures of the providers' model pages, newest families first;
// a model that is not listed gets the cautious last row. They bound what is held: a limit that is too high
// holds more than needed for a moment, one that is too low cuts an answer short.
import type { Product } from "../model_name.ts";

export interface ModelLimits {
  /** Tokens of the whole prompt. */
  context: number;
  /** Tokens of one answer, reasoning included. */
  output: number;
  /** Tokens that one image counts at most, whatever its size. */
  image: number;
}

const LIMITS: [RegExp, ModelLimits][] = [
  // platform.openai.com/docs/models; images: the high-detail maximum.
  [/^openai\/gpt-4o-mini/, { context: 128_000, output: 16_384, image: 50_000 }],
  [
    /^openai\/(gpt-4o|chatgpt-4o|gpt-5[\w.]*-chat)/,
    { context: 128_000, output: 16_384, image: 5000 },
  ],
  [/^openai\/gpt-4\.1/, { context: 1_047_576, output: 32_768, image: 5000 }],
  [/^openai\/gpt-[5-9]/, { context: 400_000, output: 128_000, image: 10_000 }],
  [/^openai\/o\d/, { context: 200_000, output: 100_000, image: 5000 }],
  [/^openai\/gpt-4-turbo/, { context: 128_000, output: 4096, image: 5000 }],
  [/^openai\/gpt-4/, { context: 8192, output: 8192, image: 5000 }],
  [/^openai\/gpt-3\.5/, { context: 16_385, output: 4096, image: 5000 }],
  // docs.claude.com/en/docs/about-claude/models
  [
    /^anthropic\/claude-(opus-4-[678]|sonnet-4-6|[a-z]+-5)/,
    { context: 1_000_000, output: 128_000, image: 5000 },
  ],
  [
    /^anthropic\/claude-(opus-4-5|haiku-4|sonnet-4|3-7)/,
    { context: 1_000_000, output: 64_000, image: 2000 },
  ],
  [/^anthropic\/claude-opus-4/, { context: 200_000, output: 32_000, image: 2000 }],
  [/^anthropic\/claude-3-5/, { context: 200_000, output: 8192, image: 2000 }],
  [/^anthropic\/claude-/, { context: 200_000, output: 4096, image: 2000 }],
  // ai.google.dev/gemini-api/docs/models
  [/^google\/gemini-(1|2\.0)/, { context: 2_097_152, output: 8192, image: 5000 }],
  [/^google\/gemini-/, { context: 1_048_576, output: 65_536, image: 5000 }],
];

const UNKNOWN: ModelLimits = { context: 1_000_000, output: 32_768, image: 50_000 };

export function modelLimits({ provider, model }: Product): ModelLimits {
  const name = `${provider}/${model}`;
  return LIMITS.find(([pattern]) => pattern.test(name))?.[1] ?? UNKNOWN;
}
