// A model's calls, held before and booked after, whoever made the model: metered_model.ts its own, the library its user's.
import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Middleware,
} from "@ai-sdk/provider";
import type { Usage } from "../gate/gate.ts";
import type { Metering } from "../gate/metering.ts";
import { sent } from "../runtime/sleep.ts";
import { Attempt, type CallTime, type Operation } from "./attempt.ts";
import { mayReasonUnseen } from "./bounds/hidden_reasoning.ts";
import { usageBound } from "./bounds/token_bound.ts";
import { meterStream, readToFirstToken } from "./metered_stream.ts";
import type { Product } from "./model_name.ts";
import {
  CallTimeout,
  isRetryable,
  retryDelayMs,
  TryTimeout,
  upstreamError,
} from "./providers/error.ts";
import type { ProviderRequest } from "./providers/request.ts";
import { UsageReader } from "./usage/usage.ts";

export type Bounded = LanguageModelV4CallOptions & { maxOutputTokens: number };

/** A model that may be called, and what it is in prices. */
export interface Target {
  product: Product;
  /**
   * The call as the provider is sent it, its output bounded by `fallback` where it says nothing.
   * @throws SpendgateError invalid_request for what cannot be bounded.
   */
  bind(params: LanguageModelV4CallOptions, fallback: number): Bounded;
  /** The model; what it sends waits until `request` is held, and `request` learns what reaches its provider. */
  model(request: ProviderRequest): LanguageModelV4;
}

/** Meters the calls of the first of these models; where it fails before its first token, the others are asked in turn. */
export function meter(targets: Target[], metering: Metering): LanguageModelV4Middleware {
  const ask = <T>(params: LanguageModelV4CallOptions, call: ModelCall<T>): Promise<T> =>
    attemptEach(
      "chat",
      targets.map((target) => candidateOf(target, params, metering, call)),
      metering,
      params.abortSignal,
    );
  return {
    specificationVersion: "v4",
    wrapGenerate: ({ params }) =>
      ask(params, async (attempt, model, bounded) => {
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
          await attempt.held;
          attempt.failsBy(error);
          // The provider answered, and bills what the SDK could not read.
          usage.seeError(error);
          if (usage.usage) attempt.settle(usage.usage);
          else attempt.counted = usage.counted(attempt.bound);
          throw error;
        }
      }),
    wrapStream: ({ params }) =>
      ask(params, async (attempt, model, bounded) => {
        const { result, started } = await startStream(attempt, model, bounded);
        attempt.begun();
        metering.onFirstToken?.();
        const passRaw = params.includeRawChunks === true;
        return { ...result, stream: meterStream(started, attempt, passRaw) };
      }),
  };
}

type ModelCall<T> = (attempt: Attempt, model: LanguageModelV4, bounded: Bounded) => Promise<T>;

function candidateOf<T>(
  { product, bind, model }: Target,
  params: LanguageModelV4CallOptions,
  { env }: Metering,
  call: ModelCall<T>,
): Candidate<T> {
  return {
    product,
    prepare() {
      const bounded = bind(params, env.defaultMaxOutputTokens);
      return {
        bound: usageBound(bounded, product),
        call: (attempt) => call(attempt, model(attempt.request), bounded),
      };
    },
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

/** A model that may be called. */
export interface Candidate<T> {
  product: Product;
  /**
   * What a call of it may use at most, and the call.
   * @throws SpendgateError invalid_request for what cannot be bounded.
   */
  prepare(): { bound: Usage; call: (attempt: Attempt) => Promise<T> };
}

/** Calls the models in turn until one answers, each as often as it may be tried, until the request's time is over. */
export async function attemptEach<T>(
  operation: Operation,
  candidates: Candidate<T>[],
  metering: Metering,
  abortSignal?: AbortSignal,
): Promise<T> {
  const deadline = deadlineOf(metering);
  let failure: unknown;
  for (const [index, { product, prepare }] of candidates.entries()) {
    const { bound, call } = prepare();
    for (let retry = 0; retry <= metering.env.maxRetries; retry++) {
      const time = shareOf(deadline, candidates.length - index, failure);
      const attempt = Attempt.begin(operation, product, bound, metering, { abortSignal }, time);
      try {
        // The call is made ready while the hold is asked for, and sent when it is there.
        await sent();
        return await call(attempt);
      } catch (error) {
        // Where the gate says no, nothing was sent and there is nothing to end.
        await attempt.held;
        failure = attempt.fail(error);
        if (mustEnd(attempt)) throw failure;
        const delay = retryDelayMs(error, retry);
        const hasTime = Date.now() + delay < deadline;
        if (!isRetryable(error) || retry === metering.env.maxRetries || !hasTime) break;
        await pause(delay, [abortSignal, metering.gone]);
      }
    }
  }
  throw failure;
}

/** Moment (ms since 1970) by which the calls have ended. */
export function deadlineOf({ deadline, env }: Metering): number {
  return deadline ?? Date.now() + env.callTimeoutMs;
}

/**
 * The time of one try where so many models may still be asked: a silent one leaves the others their share.
 * @throws SpendgateError `failure`, or upstream_error, when no time is left: nothing is begun then.
 */
export function shareOf(deadline: number, models: number, failure?: unknown): CallTime {
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
