// What a call may use at most, known before it is made. Tokenizers are slow on hostile input; bytes are not.
import type { LanguageModelV4CallOptions, SharedV4FileData } from "@ai-sdk/provider";
import { invalidRequest } from "../../errors.ts";
import type { Usage } from "../../gate/gate.ts";
import { fromBase64 } from "../../runtime/base64.ts";
import type { Product } from "../model_name.ts";
import {
  callOptions,
  checkHeaders,
  type ProviderOptions,
  toolOptions,
} from "../providers/options.ts";
import { toolsBound } from "../providers/tools.ts";
import { wireOf } from "../wire.ts";
import { boundedPrompt } from "./bounded_prompt.ts";
import { type ModelLimits, modelLimits } from "./model_limits.ts";
import { measurePdf, type PdfSize, UncountablePdf } from "./pdf/pages.ts";

/** Tokens that no byte of the prompt shows: its frame. */
const FRAME_TOKENS = 64;
/** What providers add for tools: Anthropic, which publishes it, up to 935; again for each tool that it knows by itself. */
const TOOLS_TOKENS = 1000;
/** Text of a page of a PDF, however little its file shows: Anthropic says 1,500 to 3,000. */
const PAGE_TEXT_TOKENS = 3000;
/** OpenAI's models that have no encrypted reasoning to give, and refuse to be asked for it. */
const WITHOUT_REASONING = /computer-use|^(ft:)?(gpt-3\.5|gpt-4|chatgpt-4o)|^gpt-[\d.]+-chat/;

const encoder = new TextEncoder();

export function bytesOf(text: string): number {
  return encoder.encode(text).length;
}

/**
 * The call as the provider is sent it: with a bound on its output (what it asks for, else `fallback`, never above the
 * model's own limit), and without anything that would make it cost more than its bound, or refer to what is kept.
 * @throws SpendgateError invalid_request for what is not allowed, and for what cannot be bounded.
 */
export function boundCall(
  params: LanguageModelV4CallOptions,
  product: Product,
  fallback: number,
): LanguageModelV4CallOptions & { maxOutputTokens: number } {
  const { provider } = product;
  checkHeaders(params.headers);
  const providerOptions = callOptions(params.providerOptions, provider);
  return {
    ...params,
    prompt: boundedPrompt(params.prompt, provider),
    tools: params.tools?.map((tool) =>
      tool.type === "function"
        ? { ...tool, providerOptions: toolOptions(tool.providerOptions, provider) }
        : tool,
    ),
    maxOutputTokens: boundedOutput(
      params.maxOutputTokens ?? fallback,
      thinkingBudget(providerOptions, provider),
      product,
    ),
    providerOptions:
      provider === "openai"
        ? { openai: { ...providerOptions?.openai, ...openaiTerms(product) } }
        : providerOptions,
  };
}

/** Never above the model's limit together with the budget of thinking, which the AI SDK adds; one where that is all. */
function boundedOutput(tokens: number, budget: number, product: Product): number {
  const limit = modelLimits(product).output;
  return Math.min(tokens, Math.max(limit - budget, 1));
}

/**
 * The standard price, whatever tier the account has set for `auto`; and nothing is kept: accounts may have that as
 * their default. What a reasoning model needs to go on comes with its answer, encrypted.
 */
function openaiTerms({ model }: Product) {
  return {
    serviceTier: "default",
    store: false,
    ...(!WITHOUT_REASONING.test(model) && { include: ["reasoning.encrypted_content"] }),
  };
}

/**
 * Upper bound of what a call with bounded output uses.
 * @throws SpendgateError invalid_request for what cannot be bounded.
 */
export function usageBound(
  params: LanguageModelV4CallOptions & { maxOutputTokens: number },
  product: Product,
): Usage {
  const input = inputTokenBound(params, product);
  const { searches } = toolsBound(params, product.provider);
  return {
    ...product,
    input_tokens: input,
    output_tokens: outputTokenBound(params, product),
    ...(searches > 0 && { web_searches: searches }),
    ...cacheWriteBound(params, product, input),
  };
}

/** A text token is at least one byte of UTF-8; files have an allowance; a prompt is never above the context. */
export function inputTokenBound(params: LanguageModelV4CallOptions, product: Product): number {
  const { prompt, tools, responseFormat } = params;
  const limits = modelLimits(product);
  const { known, searches } = toolsBound(params, product.provider);
  // What is found becomes part of the prompt.
  if (searches > 0) return limits.context;
  let bound = FRAME_TOKENS + jsonBytes([tools ?? [], responseFormat ?? null]);
  // Where a model has no structured output, the AI SDK makes a tool of the schema.
  if (tools?.length || responseFormat?.type === "json") bound += TOOLS_TOKENS * (1 + known);
  for (const message of prompt) {
    const parts = typeof message.content === "string" ? [message.content] : message.content;
    bound += jsonBytes({ ...message, content: null });
    for (const part of parts) bound += partBound(part, product.provider, limits);
  }
  return Math.min(bound, limits.context);
}

type Part = Exclude<LanguageModelV4CallOptions["prompt"][number]["content"], string>[number];
type ToolOutput = Extract<Part, { type: "tool-result" }>["output"];
type ToolItem = Extract<ToolOutput, { type: "content" }>["value"][number];
type ToolFile = Extract<ToolItem, { type: "file" }>;

function partBound(part: Part | string, provider: string, limits: ModelLimits): number {
  if (typeof part === "string") return bytesOf(part);
  if (part.type === "file" || part.type === "reasoning-file") {
    return jsonBytes({ ...part, data: null }) + fileTokenBound(part, limits);
  }
  if (part.type !== "tool-result" || part.output.type !== "content") return jsonBytes(part);
  // What a tool answered may have files in it; in any other place a file is text like all text.
  let bound = jsonBytes({ ...part, output: null });
  for (const item of part.output.value) {
    bound += item.type === "file" ? toolFileBound(item, provider, limits) : jsonBytes(item);
  }
  return bound;
}

/** Google is sent the item as JSON where it has no inline data, compatible providers are sent any as JSON. */
function toolFileBound(item: ToolFile, provider: string, limits: ModelLimits): number {
  const isFile = item.data.type === "data" && wireOf(provider) !== "compatible";
  const written = jsonBytes(isFile ? { ...item, data: null } : item);
  return item.data.type === "text" ? written : written + fileTokenBound(item, limits);
}

/** Tokens of thinking where Anthropic is asked for it, and the call says no number. */
const DEFAULT_THINKING_TOKENS = 1024;
/** The most that the AI SDK chooses for a model of which it does not know the limit. */
const CHOSEN_THINKING_TOKENS = 4096;

/** Tokens that the AI SDK adds to what Anthropic is asked for. */
function thinkingBudget(given: ProviderOptions | undefined, provider: string): number {
  const thinking = given?.anthropic?.thinking as Thinking | undefined;
  if (provider !== "anthropic" || thinking?.type !== "enabled") return 0;
  return thinking.budgetTokens ?? DEFAULT_THINKING_TOKENS;
}

/**
 * Anthropic's thinking comes on top of what is asked for: by its budget where the call names one, up to the model's
 * limit where the AI SDK chooses one, and over it where it does not know the limit.
 */
function outputTokenBound(
  {
    maxOutputTokens,
    providerOptions,
    reasoning,
  }: LanguageModelV4CallOptions & {
    maxOutputTokens: number;
  },
  product: Product,
): number {
  const { provider } = product;
  const reasons = reasoning !== undefined && reasoning !== "provider-default";
  if (provider === "anthropic" && reasons && !providerOptions?.anthropic?.thinking) {
    return Math.max(modelLimits(product).output, maxOutputTokens + CHOSEN_THINKING_TOKENS);
  }
  return maxOutputTokens + thinkingBudget(providerOptions, provider);
}

interface Thinking {
  type: string;
  budgetTokens?: number;
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
  limits: ModelLimits,
): number {
  if (mediaType.startsWith("image")) return limits.image;
  if (data.type === "text") return bytesOf(data.text);
  const isText = mediaType.startsWith("text");
  if (!isText && mediaType !== "application/pdf") throw unbounded(`a file of type ${mediaType}`);
  // One that is named by its address has no size here: it may fill the context.
  if (data.type !== "data") return limits.context;
  return isText ? data.data.length : pdfTokenBound(data.data, limits);
}

/** Providers read each page as an image, and its text besides. */
function pdfTokenBound(data: Uint8Array | string, { image, context }: ModelLimits): number {
  const { pages, textBytes } = sizeOfPdf(data);
  return Math.min(pages * image + Math.max(pages * PAGE_TEXT_TOKENS, textBytes), context);
}

function sizeOfPdf(data: Uint8Array | string): PdfSize {
  try {
    return measurePdf(typeof data === "string" ? bytesOfBase64(data) : data);
  } catch (error) {
    if (!(error instanceof UncountablePdf)) throw error;
    throw invalidRequest([
      {
        path: "messages",
        message: `The pages of a PDF cannot be counted, so it is not sent: ${error.message}.`,
      },
    ]);
  }
}

/** @throws UncountablePdf for what is not base64. */
function bytesOfBase64(text: string): Uint8Array {
  try {
    return fromBase64(text);
  } catch {
    throw new UncountablePdf("it is not base64");
  }
}

function jsonBytes(value: unknown): number {
  return bytesOf(JSON.stringify(value));
}

function unbounded(what: string) {
  return invalidRequest([
    { path: "messages", message: `The cost of ${what} cannot be bounded, so it is not sent.` },
  ]);
}
