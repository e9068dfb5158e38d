// What a call may use at most, known before it is made. Tokenizers are slow on hostile input; bytes are not.
import type { LanguageModelV4CallOptions, SharedV4FileData } from "@ai-sdk/provider";
import type { Usage } from "./gate.ts";
import { invalidRequest } from "./http.ts";
import { type ModelLimits, modelLimits } from "./model_limits.ts";
import type { Product } from "./product.ts";

/** Tokens that no byte of the prompt shows: its frame, and the instructions that providers add for tools. */
const FRAME_TOKENS = 64;
const TOOLS_TOKENS = 600;
/** A page of a PDF counts as text and as an image, some three tokens a byte where it is all text. */
const PDF_TOKENS_PER_BYTE = 3;

/** Settings by which a provider reads what is not in the prompt; nothing here could bound it. */
const UNBOUNDED_OPTIONS: Record<string, string[]> = {
  openai: ["previousResponseId", "conversation"],
  anthropic: ["thread", "container", "mcpServers", "fallbacks"],
};

const encoder = new TextEncoder();

export function bytesOf(text: string): number {
  return encoder.encode(text).length;
}

/**
 * The call with a bound on its output: what it asks for, else `fallback`, never above the model's own limit; at the
 * standard price, whatever tier an account of OpenAI has set for `auto`.
 * @throws SpendgateError invalid_request for what cannot be bounded.
 */
export function boundCall(
  params: LanguageModelV4CallOptions,
  product: Product,
  fallback: number,
): LanguageModelV4CallOptions & { maxOutputTokens: number } {
  for (const [provider, names] of Object.entries(UNBOUNDED_OPTIONS)) {
    const options = params.providerOptions?.[provider] ?? {};
    const name = names.find((candidate) => options[candidate] !== undefined);
    if (name) throw unbounded(`providerOptions.${provider}.${name}`);
  }
  const limit = modelLimits(product).output;
  return {
    ...params,
    maxOutputTokens: Math.min(params.maxOutputTokens ?? fallback, limit),
    ...(product.provider === "openai" && { providerOptions: atStandardTier(params) }),
  };
}

function atStandardTier({ providerOptions }: LanguageModelV4CallOptions) {
  const { serviceTier = "default", ...options } = providerOptions?.openai ?? {};
  if (serviceTier !== "default") throw unbounded(`service tier ${serviceTier}`);
  return { ...providerOptions, openai: { ...options, serviceTier } };
}

/** Upper bound of what a call with bounded output uses. */
export function usageBound(
  params: LanguageModelV4CallOptions & { maxOutputTokens: number },
  product: Product,
): Usage {
  const input = inputTokenBound(params, product);
  return {
    ...product,
    input_tokens: input,
    output_tokens: outputTokenBound(params, product),
    ...cacheWriteBound(params, product, input),
  };
}

/** A text token is at least one byte of UTF-8; files have an allowance; a prompt is never above the context. */
export function inputTokenBound(
  { prompt, tools, responseFormat }: LanguageModelV4CallOptions,
  product: Product,
): number {
  const limits = modelLimits(product);
  let bound = FRAME_TOKENS + jsonBytes([tools ?? [], responseFormat ?? null]);
  if (tools?.length) bound += TOOLS_TOKENS;
  for (const message of prompt) {
    const parts = typeof message.content === "string" ? [message.content] : message.content;
    bound += jsonBytes({ ...message, content: null });
    for (const part of parts) bound += partBound(part, limits);
  }
  return Math.min(bound, limits.context);
}

type Part = Exclude<LanguageModelV4CallOptions["prompt"][number]["content"], string>[number];

function partBound(part: Part | string, limits: ModelLimits): number {
  if (typeof part === "string") return bytesOf(part);
  if (part.type === "file" || part.type === "reasoning-file") {
    return jsonBytes({ ...part, data: null }) + fileTokenBound(part, limits);
  }
  if (part.type !== "tool-result" || part.output.type !== "content") return jsonBytes(part);
  // What a tool answered may have files in it; in any other place a file is text like all text.
  let bound = jsonBytes({ ...part, output: null });
  for (const item of part.output.value) {
    bound += item.type === "file" ? fileTokenBound(item, limits) : jsonBytes(item);
  }
  return bound;
}

/** Anthropic's thinking is counted on top of what is asked for, up to the model's limit. */
function outputTokenBound(
  params: LanguageModelV4CallOptions & { maxOutputTokens: number },
  product: Product,
): number {
  const reasons = params.reasoning !== undefined && params.reasoning !== "provider-default";
  const thinks = params.providerOptions?.anthropic?.thinking !== undefined || reasons;
  return product.provider === "anthropic" && thinks
    ? modelLimits(product).output
    : params.maxOutputTokens;
}

/**
 * Writing to a cache may cost more than reading the prompt. Anthropic writes where the call says so, perhaps all of
 * it, and nothing else; of what other providers write nobody knows before: SQL takes the dearest for it.
 */
function cacheWriteBound(
  { prompt, tools, providerOptions }: LanguageModelV4CallOptions,
  { provider }: Product,
  input: number,
): Usage {
  if (provider !== "anthropic") return {};
  let written: Usage = { cache_write_tokens: 0 };
  JSON.stringify([prompt, tools, providerOptions], (key, value) => {
    if (key !== "cacheControl" && key !== "cache_control") return value;
    if (value?.ttl === "1h") written = { cache_write_1h_tokens: input };
    else if (!("cache_write_1h_tokens" in written)) written = { cache_write_tokens: input };
  });
  return written;
}

function fileTokenBound(
  { mediaType, data }: { mediaType: string; data: SharedV4FileData },
  { context, image }: ModelLimits,
): number {
  if (mediaType.startsWith("image")) return image;
  if (data.type === "text") return bytesOf(data.text);
  // One that is named by its address has no size here: it may fill the context.
  const size = data.type === "data" ? data.data.length : undefined;
  if (mediaType.startsWith("text")) return size ?? context;
  if (mediaType === "application/pdf") return size ? size * PDF_TOKENS_PER_BYTE : context;
  throw unbounded(`a file of type ${mediaType}`);
}

function jsonBytes(value: unknown): number {
  return bytesOf(JSON.stringify(value));
}

function unbounded(what: string) {
  return invalidRequest([
    { path: "messages", message: `The cost of ${what} cannot be bounded, so it is not sent.` },
  ]);
}
