// spendgate/ai: middleware for the AI SDK, over a model of your own: any provider, any settings of it.
import {
  APICallError,
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
} from "@ai-sdk/provider";
import type { EmbeddingModelMiddleware, LanguageModelMiddleware } from "ai";
import type { SettleAnswer } from "../../../functions/_shared/gate/answers.ts";
import type { Metering } from "../../../functions/_shared/gate/metering.ts";
import { Receipt } from "../../../functions/_shared/gate/receipt.ts";
import { Attempt } from "../../../functions/_shared/llm/attempt.ts";
import {
  boundEmbedding,
  embeddingBound,
} from "../../../functions/_shared/llm/bounds/embedding_bound.ts";
import { modelLimits } from "../../../functions/_shared/llm/bounds/model_limits.ts";
import { boundCall } from "../../../functions/_shared/llm/bounds/token_bound.ts";
import { deadlineOf, meter, shareOf, type Target } from "../../../functions/_shared/llm/meter.ts";
import { type Product, parseModelName } from "../../../functions/_shared/llm/model_name.ts";
import {
  isUnconnected,
  type ProviderRequest,
} from "../../../functions/_shared/llm/providers/request.ts";
import { UsageReader } from "../../../functions/_shared/llm/usage/usage.ts";
import { meteringOf } from "./internals.ts";
import type { Spender } from "./types.ts";

export interface MeteredOptions {
  /**
   * What the model is in spend.prices: `provider/model`. Left out: the model's own provider and id. For a deployment of
   * Azure, say, which has a name of yours.
   */
  price?: string;
  /** Hears what each call cost, once it is booked. */
  onCost?: (cost: CallCost) => void;
}

export interface CallCost {
  reservationId: string;
  /** `provider/model` */
  model: string;
  costUsd: number;
  /** The usage was not reported by the provider. */
  isEstimated: boolean;
}

/** The AI SDK's names of providers, where the catalogue has others. */
const PROVIDERS: Record<string, string> = {
  "amazon-bedrock": "aws",
  bedrock: "aws",
  vertex: "google",
  "google-vertex": "google",
  xai: "x-ai",
  togetherai: "together",
};
/** Providers whose options the bound knows. */
const KNOWN = ["openai", "anthropic", "google"];

/**
 * Holds each call of a model before it is made, and books what it used.
 * @example wrapLanguageModel({ model: openai("gpt-4o"), middleware: meteredMiddleware({ gate, tenantId, userId }) })
 * @throws SpendgateError from the calls of the model: what the gate says, or `upstream_error`. Give the AI SDK
 *   `maxRetries: 0`, or each of its retries is a reservation of its own.
 */
export function meteredMiddleware(
  spender: Spender,
  options: MeteredOptions = {},
): LanguageModelMiddleware {
  const metered = (model: LanguageModelV4) =>
    meter([targetOf(model, options.price)], listening(meteringOf(spender), options.onCost));
  return {
    specificationVersion: "v4",
    wrapGenerate: (call) => wrapped(metered(call.model).wrapGenerate)(call),
    wrapStream: (call) => wrapped(metered(call.model).wrapStream)(call),
  };
}

function wrapped<T>(wrap: T | undefined): T {
  if (wrap === undefined) throw new TypeError("A metered model has both ways to be called.");
  return wrap;
}

/** The same for a model of embeddings. */
export function meteredEmbeddingMiddleware(
  spender: Spender,
  options: MeteredOptions = {},
): EmbeddingModelMiddleware {
  return {
    specificationVersion: "v4",
    async wrapEmbed({ params, model }) {
      const product = productOf(model, options.price);
      const metering = listening(meteringOf(spender), options.onCost);
      const bounded = isKnown(model, product)
        ? await boundEmbedding(params, model, product)
        : params;
      const bound = embeddingBound(params.values, product);
      const time = shareOf(deadlineOf(metering), 1);
      const attempt = await Attempt.open("embeddings", product, bound, metering, params, time);
      try {
        const result = await seen(attempt.request, () =>
          model.doEmbed({ ...bounded, abortSignal: attempt.signal }),
        );
        const usage = new UsageReader(product);
        usage.seeAnswer({ response: result.response });
        const tokens = result.usage?.tokens;
        attempt.settle(
          usage.usage ??
            (tokens === undefined
              ? undefined
              : { ...product, input_tokens: tokens, output_tokens: 0 }),
        );
        return result;
      } catch (error) {
        throw attempt.fail(error);
      }
    },
  };
}

/** Each call tells its cost. Calls of a request that a gated handler serves share its receipt; others have one of their own. */
function listening(metering: Metering, onCost: MeteredOptions["onCost"]): Metering {
  return { ...metering, receipt: new HeardReceipt(metering.receipt ?? new Receipt(), onCost) };
}

class HeardReceipt extends Receipt {
  readonly #whole: Receipt;
  override readonly calls: Receipt["calls"];

  constructor(whole: Receipt, onCost: MeteredOptions["onCost"]) {
    super();
    this.#whole = whole;
    this.calls = Object.assign([] as Receipt["calls"], {
      push(...calls: Receipt["calls"]) {
        for (const call of calls) void call.settled.then((booked) => tell(call, booked, onCost));
        return whole.calls.push(...calls);
      },
    });
  }

  override addBooking(booking: Promise<unknown>): void {
    this.#whole.addBooking(booking);
  }

  override booked(waitMs: number): Promise<void> {
    return this.#whole.booked(waitMs);
  }
}

function tell(
  { reservationId, model }: Receipt["calls"][number],
  booked: SettleAnswer | undefined,
  onCost: MeteredOptions["onCost"],
): void {
  if (booked === undefined) return;
  const { cost_usd: costUsd, is_estimated: isEstimated } = booked;
  onCost?.({ reservationId, model, costUsd, isEstimated });
}

/** @throws SpendgateError invalid_request for a price that is no `provider/model`. */
function productOf(model: { provider: string; modelId: string }, price?: string): Product {
  if (price !== undefined) return parseModelName(price);
  const [provider = ""] = model.provider.split(".");
  return { provider: PROVIDERS[provider] ?? provider, model: model.modelId };
}

/** Whether the model's provider is the one in the price, and one whose options the bound knows. */
function isKnown(model: { provider: string }, { provider }: Product): boolean {
  return KNOWN.includes(provider) && model.provider.split(".")[0] === provider;
}

function targetOf(model: LanguageModelV4, price?: string): Target {
  const product = productOf(model, price);
  return {
    product,
    bind: (params, fallback) =>
      isKnown(model, product)
        ? boundCall(params, product, fallback)
        : boundForeign(params, product, fallback),
    model: (request) => ({
      specificationVersion: "v4",
      provider: model.provider,
      modelId: model.modelId,
      supportedUrls: model.supportedUrls,
      doGenerate: (call) => seen(request, () => model.doGenerate(call)),
      doStream: (call) => seen(request, () => model.doStream(call)),
    }),
  };
}

/** Of a provider that nobody knows here the options are yours: what they add to the cost beyond the bound is charged all the same. */
function boundForeign(params: LanguageModelV4CallOptions, product: Product, fallback: number) {
  const maxOutputTokens = Math.min(params.maxOutputTokens ?? fallback, modelLimits(product).output);
  return { ...params, maxOutputTokens };
}

/** The provider's fetch is not ours: what reached it is told by how the call ended. */
async function seen<T>(request: ProviderRequest, call: () => PromiseLike<T>): Promise<T> {
  await request.held;
  request.isSent = true;
  try {
    const result = await call();
    request.status = 200;
    return result;
  } catch (error) {
    if (APICallError.isInstance(error)) request.status = error.statusCode;
    request.isSent = request.status !== undefined || !isUnconnected(error);
    throw error;
  }
}
