// The one door to the LLM providers: every call of a model from here is held before and booked after.
// No other module may reach a provider or read its key; a check in CI says so.
import type {
  EmbeddingModelV4,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Middleware,
} from "@ai-sdk/provider";
import { wrapEmbeddingModel, wrapLanguageModel } from "ai";
import type { Metering } from "../gate/metering.ts";
import { Attempt, type CallTime } from "./attempt.ts";
import { boundEmbedding, embeddingBound } from "./bounds/embedding_bound.ts";
import { mayReasonUnseen } from "./bounds/hidden_reasoning.ts";
import { boundCall, usageBound } from "./bounds/token_bound.ts";
import { meterStream, readToFirstToken } from "./metered_stream.ts";
import { type Product, parseModelName } from "./model_name.ts";
import {
  CallTimeout,
  isRetryable,
  retryDelayMs,
  TryTimeout,
  upstreamError,
} from "./providers/error.ts";
import { embeddingModel, languageModel } from "./providers/registry.ts";
import { UsageReader } from "./usage/usage.ts";

export { providerNames } from "./providers/registry.ts";

// The SDK's own warnings print what users write.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

type Bounded = LanguageModelV4CallOptions & { maxOutputTokens: number };

/**
 * A model, `provider/model` or a well-known bare name, that cannot be called without being paid for.
 * Where its provider fails, or is silent for its share of the time, before the first token, the `fallbacks` are tried,
 * in order. Every attempt (a step of an agent, a retry, a fallback) is a reservation of its own; all of a request
 * have ended by its deadline.
 * Its calls throw SpendgateError: what the gate says, or upstream_error.
 * @throws SpendgateError invalid_request when a provider is not known or not set up.
 */
export function meteredModel(
  name: string,
  metering: Metering,
  fallbacks: string[] = [],
): LanguageModelV4 {
  const [first, ...others] = [name, ...fallbacks].map(parseModelName) as [Product, ...Product[]];
  for (const other of others) languageModel(other);
  return wrapLanguageModel({
    model: languageModel(first),
    middleware: meter([first, ...others], metering),
  });
}

function meter(products: Product[], metering: Metering): LanguageModelV4Middleware {
  return {
    specificationVersion: "v4",
    wrapGenerate: ({ params }) =>
      attemptEach(products, params, metering, async (attempt, model, bounded) => {
        const usage = new UsageReader(attempt.product);
        try {
          const result = await model.doGenerate({ ...bounded, abortSignal: attempt.signal });
          attempt.see({
            model: result.response?.modelId,
            id: result.response?.id,
            finishReason: result.finishReason.unified,
          });
          usage.seeAnswer(result);
          attempt.settle(usage.usage);
          return result;
        } catch (error) {
          attempt.failsBy(error);
          // The provider answered, and bills what the SDK could not read.
          usage.seeError(error);
          if (usage.usage) attempt.settle(usage.usage);
          else attempt.counted = usage.counted(attempt.bound);
          throw error;
        }
      }),
    wrapStream: ({ params }) =>
      attemptEach(products, params, metering, async (attempt, model, bounded) => {
        const { result, started } = await startStream(attempt, model, bounded);
        attempt.begun();
        metering.onFirstToken?.();
        const passRaw = params.includeRawChunks === true;
        return { ...result, stream: meterStream(started, attempt, passRaw) };
      }),
  };
}

async function startStream(attempt: Attempt, model: LanguageModelV4, bounded: Bounded) {
  const { stream, ...result } = await model.doStream({
    ...bounded,
    abortSignal: attempt.signal,
    // Some providers say in their own chunks, long before the end, what the prompt counted.
    includeRawChunks: true,
  });
  const mayHide = mayReasonUnseen(attempt.product, bounded);
  return { result, started: await readToFirstToken(stream.getReader(), attempt, mayHide) };
}

/** Calls the products in turn until one answers, each as often as it may be tried, until the request's time is over. */
async function attemptEach<T>(
  products: Product[],
  params: LanguageModelV4CallOptions,
  metering: Metering,
  call: (attempt: Attempt, model: LanguageModelV4, bounded: Bounded) => Promise<T>,
): Promise<T> {
  const deadline = deadlineOf(metering);
  let failure: unknown;
  for (const [index, product] of products.entries()) {
    const bounded = boundCall(params, product, metering.env.defaultMaxOutputTokens);
    const bound = usageBound(bounded, product);
    for (let retry = 0; retry <= metering.env.maxRetries; retry++) {
      const time = shareOf(deadline, products.length - index, failure);
      const attempt = await Attempt.open("chat", product, bound, metering, params, time);
      try {
        return await call(attempt, languageModel(product, attempt.request.fetch), bounded);
      } catch (error) {
        failure = attempt.fail(error);
        if (mustEnd(attempt)) throw failure;
        const delay = retryDelayMs(error, retry);
        const hasTime = Date.now() + delay < deadline;
        if (!isRetryable(error) || retry === metering.env.maxRetries || !hasTime) break;
        await pause(delay, [params.abortSignal, metering.gone]);
      }
    }
  }
  throw failure;
}

function deadlineOf({ deadline, env }: Metering): number {
  return deadline ?? Date.now() + env.callTimeoutMs;
}

/**
 * The time of one try where so many models may still be asked: a silent one leaves the others their share.
 * @throws SpendgateError `failure`, or upstream_error, when no time is left: nothing is begun then.
 */
function shareOf(deadline: number, models: number, failure?: unknown): CallTime {
  const rest = deadline - Date.now();
  if (rest <= 0) throw failure ?? upstreamError(new CallTimeout("no time is left"));
  return { deadline, firstTokenMs: models > 1 ? rest / models : undefined };
}

/** Whether the call was stopped for a reason that ends the request, not this try alone. */
function mustEnd({ signal, metering }: Attempt): boolean {
  const isStopped = signal.aborted && !(signal.reason instanceof TryTimeout);
  return isStopped || metering.gone?.aborted === true;
}

/** Waits, and no longer than until somebody stops it. */
async function pause(ms: number, signals: (AbortSignal | undefined)[]): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    for (const signal of signals) signal?.addEventListener("abort", end, { once: true });
  });
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
