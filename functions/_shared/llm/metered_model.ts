// The one door to the LLM providers: every call of a model from here is held before and booked after.
// No other module may reach a provider or read its key; a check in CI says so. meter.ts has the metering itself.
import type {
  EmbeddingModelV4,
  LanguageModelV4,
  LanguageModelV4CallOptions,
} from "@ai-sdk/provider";
import { wrapEmbeddingModel, wrapLanguageModel } from "ai";
import type { Usage } from "../gate/gate.ts";
import type { Metering } from "../gate/metering.ts";
import { Attempt, type Operation } from "./attempt.ts";
import { boundEmbedding, embeddingBound } from "./bounds/embedding_bound.ts";
import { boundCall, inputTokenBound } from "./bounds/token_bound.ts";
import { attemptEach, deadlineOf, meter, shareOf, type Target } from "./meter.ts";
import { type Product, parseModelName } from "./model_name.ts";
import type { OpenAIApi } from "./providers/openai_api.ts";
import { countOfAnthropic, embeddingModel, languageModel, postOf } from "./providers/registry.ts";
import { UsageReader } from "./usage/usage.ts";

export { providerNames } from "./providers/registry.ts";

// The SDK's own warnings print what users write.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

/**
 * A model, `provider/model` or a well-known bare name, that cannot be called without being paid for.
 * Where its provider fails, or is silent for its share of the time, before the first token, the `fallbacks` are tried,
 * in order. Every attempt (a step of an agent, a retry, a fallback) is a reservation of its own; all of a request
 * have ended by its deadline. OpenAI is asked by its `api`, where that serves the model.
 * Its calls throw SpendgateError: what the gate says, or upstream_error.
 * @throws SpendgateError invalid_request when a provider is not known or not set up.
 */
export function meteredModel(
  name: string,
  metering: Metering,
  fallbacks: string[] = [],
  api: OpenAIApi = "chat",
): LanguageModelV4 {
  const [first, ...others] = [name, ...fallbacks].map(parseModelName) as [Product, ...Product[]];
  for (const other of others) languageModel(other);
  return wrapLanguageModel({
    model: languageModel(first),
    middleware: meter(
      [first, ...others].map((product) => targetOf(product, api)),
      metering,
    ),
  });
}

/** A model of a provider that is set up here. */
function targetOf(product: Product, api: OpenAIApi): Target {
  return {
    product,
    bind: (params, fallback) => boundCall(params, product, fallback),
    model: ({ fetch }) => languageModel(product, fetch, api),
  };
}

/**
 * Tokens of a call's input, for which nothing is paid: as Anthropic counts them for its models, else the bound that a
 * call holds.
 * @throws SpendgateError invalid_request for what cannot be bounded, or a provider that is not set up.
 */
export async function countInputTokens(
  name: string,
  params: LanguageModelV4CallOptions,
): Promise<number> {
  const product = parseModelName(name);
  const bounded = boundCall(params, product, 1);
  const bound = inputTokenBound(bounded, product);
  return product.provider === "anthropic" ? countOfAnthropic(product, bounded) : bound;
}

/**
 * An embedding model, metered likewise.
 * @throws SpendgateError invalid_request when the provider is not known, not set up, or has no embeddings.
 */
export function meteredEmbeddingModel(name: string, metering: Metering): EmbeddingModelV4 {
  const product = parseModelName(name);
  return wrapEmbeddingModel({
    model: embeddingModel(product),
    middleware: {
      specificationVersion: "v4",
      wrapEmbed: async ({ params, model: unbound }) => {
        const bounded = await boundEmbedding(params, unbound, product);
        const bound = embeddingBound(params.values, product);
        const time = shareOf(deadlineOf(metering), 1);
        const attempt = await Attempt.open("embeddings", product, bound, metering, params, time);
        try {
          const model = embeddingModel(product, attempt.request.fetch);
          const result = await model.doEmbed({ ...bounded, abortSignal: attempt.signal });
          const usage = new UsageReader(product);
          usage.seeAnswer({ response: result.response });
          attempt.settle(usage.usage);
          return result;
        } catch (error) {
          throw attempt.fail(error);
        }
      },
    },
  });
}

/** A request in OpenAI's format that goes to its provider as it is. */
export interface PlainRequest {
  operation: Operation;
  product: Product;
  /** Below the provider's base URL. */
  path: string;
  body: string | FormData;
  /** What it may use at most. */
  bound: Usage;
}

/** What came of one, and what the provider says that it used: undefined where it does not say, and the bound is charged. */
export interface PlainAnswer<T> {
  answer: T;
  usage: Usage | undefined;
}

/**
 * What `read` makes of a provider's answer to such a request, metered likewise; tried again as often as a chat is.
 * @throws SpendgateError invalid_request when the provider is not known, not set up, or speaks another format; what the
 *   gate says; upstream_error.
 */
export async function meteredRequest<T>(
  { operation, product, path, body, bound }: PlainRequest,
  metering: Metering,
  read: (response: Response) => Promise<PlainAnswer<T>>,
): Promise<T> {
  const post = postOf(product.provider);
  const call = async (attempt: Attempt) => {
    const { fetch } = attempt.request;
    const response = await post(path, body, { fetch, signal: attempt.signal });
    const { answer, usage } = await read(response);
    attempt.settle(usage);
    return answer;
  };
  return attemptEach(operation, [{ product, prepare: () => ({ bound, call }) }], metering);
}
