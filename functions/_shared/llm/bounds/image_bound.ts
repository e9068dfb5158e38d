// What drawing images may cost at most.
import type { Usage } from "../../gate/gate.ts";
import type { Product } from "../model_name.ts";
import { bytesOf } from "./token_bound.ts";

export interface ImageRequest {
  prompt: string;
  /** How many. */
  n: number;
  /** `1024x1536`; undefined where the model chooses. */
  size?: string;
  /** Undefined where the model chooses. */
  quality?: string;
}

/**
 * Tokens of an image of gpt-image-1, -mini and -1.5 in the largest of their sizes, 1024 × 1536, and of a square:
 * https://developers.openai.com/api/docs/guides/image-generation#cost-and-latency
 */
const SIZED_TOKENS: Record<string, { largest: number; square: number }> = {
  low: { largest: 408, square: 272 },
  medium: { largest: 1584, square: 1056 },
  high: { largest: 6240, square: 4160 },
};

/**
 * How finely gpt-image-2 draws, along the longer side. With this formula, which
 * https://community.openai.com/t/1382699 read out of the calculator of OpenAI's guide, an image of 1024 × 1024 and high
 * quality has 7,024 tokens, as the guide says. The shorter side is rounded to the nearest there, and up here.
 */
const FINENESS: Record<string, number> = { low: 16, medium: 48, high: 96 };
/** Of the largest image, https://developers.openai.com/api/docs/guides/image-generation#size-and-quality-options */
const MOST_PIXELS = 3840 * 2160;

/**
 * Beside an image: what OpenAI's pricing page asks for one of gpt-image-1-mini is 350 tokens more than the image's, and
 * newer models may write before they draw.
 */
const SPARE_TOKENS = 500;
/** Around a prompt. */
const FRAME_TOKENS = 64;

/** Each image is drawn, and its prompt read, by itself. */
export function imageBound(request: ImageRequest, product: Product): Usage {
  const tokens = request.n * (imageTokens(request, product) + SPARE_TOKENS);
  return {
    ...product,
    // A token of a text is at least one byte.
    input_tokens: request.n * (bytesOf(request.prompt) + FRAME_TOKENS),
    output_tokens: tokens,
    image_output_tokens: tokens,
  };
}

/** The most where the request does not say, and of models that are not known. */
function imageTokens({ size, quality = "high" }: ImageRequest, { model }: Product): number {
  if (/^gpt-image-1\b/.test(model)) {
    const { largest, square } = SIZED_TOKENS[quality] ?? { largest: 6240, square: 4160 };
    return size === "1024x1024" ? square : largest;
  }
  const fineness = FINENESS[quality] ?? 96;
  const [width = 0, height = 0] = size?.split("x").map(Number) ?? [];
  const [pixels, flatness] =
    width > 0 && height > 0
      ? [width * height, Math.min(width, height) / Math.max(width, height)]
      : [MOST_PIXELS, 1];
  return Math.ceil((fineness * Math.ceil(fineness * flatness) * (2e6 + pixels)) / 4e6);
}
