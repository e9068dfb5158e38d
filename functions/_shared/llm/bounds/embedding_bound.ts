// What a call of an embedding model may use at most, and what it cannot take at all.
import type { EmbeddingModelV4, EmbeddingModelV4CallOptions } from "@ai-sdk/provider";
import { invalidRequest } from "../../errors.ts";
import type { Usage } from "../../gate/gate.ts";
import type { Product } from "../model_name.ts";
import { checkHeaders, embeddingOptions } from "../providers/options.ts";
import { bytesOf } from "./token_bound.ts";

/** Of OpenAI's embedding models: platform.openai.com/docs/api-reference/embeddings/create. */
const OPENAI_TOKENS_PER_TEXT = 8192;
const OPENAI_TOKENS_PER_CALL = 300_000;
/** No token of their tokenizer is longer, in bytes. */
const LONGEST_TOKEN = 128;

/**
 * The call as the provider is sent it.
 * @throws SpendgateError invalid_request for options that are not allowed, and for more texts or tokens than the model
 * takes: it would refuse them, so nothing is held for them.
 */
export async function boundEmbedding(
  params: EmbeddingModelV4CallOptions,
  model: EmbeddingModelV4,
  product: Product,
): Promise<EmbeddingModelV4CallOptions> {
  const { values } = params;
  checkHeaders(params.headers);
  const providerOptions = embeddingOptions(params.providerOptions, product.provider);
  const most = (await model.maxEmbeddingsPerCall) ?? Number.POSITIVE_INFINITY;
  if (values.length > most) {
    throw tooMany(`${values.length} texts are more than the ${most} that ${product.model} takes.`);
  }
  if (product.provider === "openai") checkTokens(values);
  return { ...params, providerOptions };
}

/** A token is at least one byte of a text; each text has a start and an end. */
export function embeddingBound(values: string[], product: Product): Usage {
  const tokens = values.reduce((sum, text) => sum + bytesOf(text) + 2, 0);
  return { ...product, input_tokens: tokens, output_tokens: 0 };
}

function checkTokens(values: string[]): void {
  let all = 0;
  for (const [index, text] of values.entries()) {
    const tokens = leastTokens(text);
    all += tokens;
    if (tokens > OPENAI_TOKENS_PER_TEXT) {
      throw tooMany(
        `Text ${index} has at least ${tokens} tokens, more than the ${OPENAI_TOKENS_PER_TEXT} of one text.`,
      );
    }
  }
  if (all > OPENAI_TOKENS_PER_CALL) {
    throw tooMany(
      `The texts have at least ${all} tokens, more than the ${OPENAI_TOKENS_PER_CALL} of one call.`,
    );
  }
}

/** Tokens that a text has in any case: no token goes over the end of a word, or has more than three digits. */
function leastTokens(text: string): number {
  let tokens = 0;
  for (const [run] of text.matchAll(/\p{L}+|\p{N}{1,3}/gu)) {
    tokens += run.length < LONGEST_TOKEN / 4 ? 1 : Math.ceil(bytesOf(run) / LONGEST_TOKEN);
  }
  return tokens;
}

function tooMany(message: string) {
  return invalidRequest([{ path: "input", message }]);
}
