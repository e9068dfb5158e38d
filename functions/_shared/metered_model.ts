// The one door to the LLM providers: every call of a model from here is held before and booked after.
// No other module may reach a provider or read its key; a check in CI says so.
import type {
  EmbeddingModelV4,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Middleware,
} from "@ai-sdk/provider";
import { wrapEmbeddingModel, wrapLanguageModel } from "ai";
import { Attempt } from "./attempt.ts";
import { boundEmbedding, embeddingBound } from "./embedding_bound.ts";
import { toUsage } from "./llm_usage.ts";
import { meterStream, readToFirstToken } from "./metered_stream.ts";
import type { Metering } from "./metering.ts";
import { type Product, parseModelName } from "./product.ts";
import { isRetryable, retryDelayMs } from "./provider_error.ts";
import { embeddingModel, languageModel } from "./providers/registry.ts";
import { boundCall, usageBound } from "./token_bound.ts";

export { providerNames } from "./providers/registry.ts";

type Bounded = LanguageModelV4CallOptions & { maxOutputTokens: number };

/** A model that may be called: the one that was asked for, or one to fall back to. */
interface Target {
  product: Product;
  model: LanguageModelV4;
}

/**
 * A model, `provider/model` or a well-known bare name, that cannot be called without being paid for.
 * Where its provider fails before the first token, the `fallbacks` are tried, in order. Every attempt (a step
 * of an agent, a retry, a fallback) is a reservation of its own.
 * Its calls throw SpendgateError: what the gate says, or upstream_error.
 * @throws SpendgateError invalid_request when a provider is not known or not set up.
 */
export function meteredModel(
  name: string,
  metering: Metering,
  fallbacks: string[] = [],
): LanguageModelV4 {
  const [first, ...others] = [name, ...fallbacks].map((each) => {
    const product = parseModelName(each);
    return { product, model: languageModel(product) };
  }) as [Target, ...Target[]];
  return wrapLanguageModel({ model: first.model, middleware: meter([first, ...others], metering) });
}

function meter(targets: Target[], metering: Metering): LanguageModelV4Middleware {
  return {
    specificationVersion: "v4",
    wrapGenerate: ({ params }) =>
      attemptEach(targets, params, metering, async (attempt, model, bounded) => {
        const result = await model.doGenerate({ ...bounded, abortSignal: attempt.signal });
        attempt.settle(toUsage(result.usage));
        return result;
      }),
    wrapStream: ({ params }) =>
      attemptEach(targets, params, metering, async (attempt, model, bounded) => {
        const { head, reader, ...result } = await startStream(attempt, model, bounded);
        metering.onFirstToken?.();
        const passRaw = params.includeRawChunks === true;
        return { ...result, stream: meterStream(head, reader, attempt, passRaw) };
      }),
  };
}

async function startStream(attempt: Attempt, model: LanguageModelV4, bounded: Bounded) {
  try {
    const { stream, ...result } = await model.doStream({
      ...bounded,
      abortSignal: attempt.signal,
      // Some providers say in their own chunks, long before the end, what the prompt counted.
      includeRawChunks: true,
    });
    const reader = stream.getReader();
    return { ...result, reader, head: await readToFirstToken(reader) };
  } catch (error) {
    // Stopped by us before anything came: the prompt was read, and nothing else is known to have been.
    if (attempt.signal.aborted) attempt.settleCounted({ ...attempt.bound, output_tokens: 0 });
    throw error;
  }
}

/** Calls the targets in turn until one answers, each as often as it may be tried. */
async function attemptEach<T>(
  targets: Target[],
  params: LanguageModelV4CallOptions,
  metering: Metering,
  call: (attempt: Attempt, model: LanguageModelV4, bounded: Bounded) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  for (const { product, model } of targets) {
    const bounded = boundCall(params, product, metering.env.defaultMaxOutputTokens);
    const bound = usageBound(bounded, product);
    for (let retry = 0; retry <= metering.env.maxRetries; retry++) {
      const attempt = await Attempt.open("chat", product, bound, metering, params);
      try {
        return await call(attempt, model, bounded);
      } catch (error) {
        failure = attempt.fail(error);
        if (attempt.signal.aborted) throw failure;
        if (!isRetryable(error) || retry === metering.env.maxRetries) break;
        await new Promise((resolve) => setTimeout(resolve, retryDelayMs(error, retry)));
      }
    }
  }
  throw failure;
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
      wrapEmbed: async ({ params, model }) => {
        const bounded = await boundEmbedding(params, model, product);
        const bound = embeddingBound(params.values, product);
        const attempt = await Attempt.open("embeddings", product, bound, metering, params);
        try {
          const result = await model.doEmbed({ ...bounded, abortSignal: attempt.signal });
          const used = result.usage?.tokens;
          attempt.settle(used ? { input_tokens: used, output_tokens: 0 } : undefined);
          return result;
        } catch (error) {
          throw attempt.fail(error);
        }
      },
    },
  });
}
