// What a call of a moderation model may use at most.
import type { Usage } from "../../gate/gate.ts";
import type { Product } from "../model_name.ts";
import { modelLimits } from "./model_limits.ts";
import { bytesOf } from "./token_bound.ts";

type Part = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };

/**
 * A token is at least one byte of a text; an image is the most that a model counts for one. OpenAI counts nothing: its
 * moderation is free, https://developers.openai.com/api/docs/guides/moderation.
 */
export function moderationBound(input: string | string[] | Part[], product: Product): Usage {
  if (product.provider === "openai") return { ...product, input_tokens: 0, output_tokens: 0 };
  const parts = typeof input === "string" ? [input] : input;
  const tokens = parts.map((part) => tokensOf(part, product)).reduce((sum, each) => sum + each, 0);
  return { ...product, input_tokens: tokens, output_tokens: 0 };
}

function tokensOf(part: string | Part, product: Product): number {
  if (typeof part === "string") return bytesOf(part) + 2;
  return part.type === "text" ? bytesOf(part.text) + 2 : modelLimits(product).image;
}
