// The one door to the LLM providers: every call of a model from here is held before and booked after.
// No other module may import a provider's SDK or read its key; a check in CI says so.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import {
  APICallError,
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
  type LanguageModelV4Middleware,
  type LanguageModelV4StreamPart,
  type LanguageModelV4Usage,
} from "@ai-sdk/provider";
import { wrapLanguageModel } from "ai";
import { inBackground } from "./background.ts";
import { SpendgateError } from "./errors.ts";
import type { Gate, Reservation, Usage } from "./gate.ts";
import { invalidRequest } from "./http.ts";
import { log, messageOf } from "./log.ts";
import {
  countRefusal,
  failSpan,
  flushTelemetry,
  recordDuration,
  recordTokens,
  startSpan,
} from "./telemetry.ts";
import { inputTokenBound } from "./token_bound.ts";

/** Who pays for the calls of a model, and what they are for. */
export interface Metering {
  gate: Gate;
  tenantId: string;
  userId: string;
  /** What kind of work: `chat`, `agent:<name>`, `compaction`, … Quotas and reports tell them apart. */
  task: string;
  conversationId?: string;
  pathId?: string;
  idempotencyKey?: string;
  /** False: calls are held and booked, but never refused. */
  enforce: boolean;
  /** Tokens that a call which does not say may produce; there is always a bound. */
  defaultMaxOutputTokens: number;
  /** The provider has produced its first token: what fails before is an answer, what fails later is part of a stream. */
  onFirstToken?: () => void;
}

const PROVIDERS: Record<string, (model: string) => LanguageModelV4> = {
  openai: (model) =>
    createOpenAI({ apiKey: keyOf("OPENAI"), baseURL: baseUrlOf("OPENAI") }).chat(model),
  anthropic: (model) =>
    createAnthropic({ apiKey: keyOf("ANTHROPIC"), baseURL: baseUrlOf("ANTHROPIC") })(model),
  google: (model) =>
    createGoogleGenerativeAI({
      apiKey: keyOf("GOOGLE_GENERATIVE_AI"),
      baseURL: baseUrlOf("GOOGLE_GENERATIVE_AI"),
    })(model),
};

/** Names that are known without their provider in front. */
const FAMILIES: [RegExp, string][] = [
  [/^(gpt-|o\d|chatgpt-)/, "openai"],
  [/^claude-/, "anthropic"],
  [/^gemini-/, "google"],
];

/**
 * A model, `provider/model` or a well-known bare name, that cannot be called without being paid for.
 * Every attempt (a step of an agent, a retry) is a reservation of its own.
 * Its calls throw SpendgateError: what the gate says, or upstream_error.
 * @throws SpendgateError invalid_request when the provider is not known or has no key.
 */
export function meteredModel(name: string, metering: Metering): LanguageModelV4 {
  const { provider, model } = parseModelName(name);
  return wrapLanguageModel({
    model: PROVIDERS[provider]?.(model) as LanguageModelV4,
    middleware: meter(provider, model, metering),
  });
}

export function parseModelName(name: string): { provider: string; model: string } {
  const [prefix = "", ...rest] = name.split("/");
  const provider = rest.length > 0 ? prefix : FAMILIES.find(([family]) => family.test(name))?.[1];
  if (!provider || !(provider in PROVIDERS)) {
    throw invalidRequest([
      {
        path: "model",
        message: `Unknown provider; write ${Object.keys(PROVIDERS).join(", ")} / model.`,
      },
    ]);
  }
  return { provider, model: rest.length > 0 ? rest.join("/") : name };
}

function meter(provider: string, model: string, metering: Metering): LanguageModelV4Middleware {
  return {
    specificationVersion: "v4",
    transformParams: ({ params }) =>
      Promise.resolve({
        ...params,
        maxOutputTokens: params.maxOutputTokens ?? metering.defaultMaxOutputTokens,
      }),
    async wrapGenerate({ doGenerate, params }) {
      const attempt = await Attempt.open(provider, model, metering, params);
      try {
        const result = await doGenerate();
        attempt.settle(result.usage);
        return result;
      } catch (error) {
        throw attempt.fail(error);
      }
    },
    async wrapStream({ doStream, params }) {
      const attempt = await Attempt.open(provider, model, metering, params);
      try {
        const { stream, ...result } = await doStream();
        const reader = stream.getReader();
        const head = await readToFirstToken(reader);
        metering.onFirstToken?.();
        return { ...result, stream: ReadableStream.from(watch(head, reader, attempt)) };
      } catch (error) {
        throw attempt.fail(error);
      }
    },
  };
}

/** One call of the provider: its hold, and what becomes of it. Ends once; later ends are ignored. */
class Attempt {
  readonly #startedAt = performance.now();
  #ended = false;

  private constructor(
    readonly reservation: Reservation,
    readonly metering: Metering,
    readonly attributes: Record<string, string>,
    readonly span: ReturnType<typeof startSpan>,
  ) {}

  static async open(
    provider: string,
    model: string,
    metering: Metering,
    params: LanguageModelV4CallOptions,
  ): Promise<Attempt> {
    const attributes = {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": provider,
      "gen_ai.request.model": model,
    };
    const span = startSpan(`chat ${model}`, { ...attributes, "spendgate.task": metering.task });
    try {
      const reservation = await metering.gate.reserve({
        ...metering,
        resourceType: "llm",
        usage: {
          provider,
          model,
          input_tokens: inputTokenBound(params),
          output_tokens: params.maxOutputTokens ?? metering.defaultMaxOutputTokens,
        },
      });
      span.setAttribute("spendgate.reservation", reservation.id);
      return new Attempt(reservation, metering, attributes, span);
    } catch (error) {
      if (error instanceof SpendgateError && error.code === "quota_exceeded") {
        countRefusal({ ...attributes, "spendgate.reason": String(error.details.reason) });
      }
      failSpan(span, error);
      span.end();
      throw error;
    }
  }

  /** The call ended with this usage; undefined is unknown usage, booked at the estimate. */
  settle(usage: LanguageModelV4Usage | undefined): void {
    this.#end(async () => {
      const counts = usage && toUsage(usage);
      if (counts?.input_tokens) recordTokens(Number(counts.input_tokens), "input", this.attributes);
      if (counts?.output_tokens)
        recordTokens(Number(counts.output_tokens), "output", this.attributes);
      const booked = await this.metering.gate.settle(this.reservation.id, counts ?? null);
      if (booked) {
        this.span.setAttribute("spendgate.cost_usd", booked.cost_usd);
        this.span.setAttribute("spendgate.is_estimated", booked.is_estimated);
      }
    });
  }

  /** The call failed before anything was produced: gives the hold back where the provider charges nothing. */
  fail(error: unknown): SpendgateError {
    failSpan(this.span, error);
    if (chargesNothing(error)) {
      this.#end(() => this.metering.gate.release(this.reservation.id, "provider_failed"));
    } else {
      this.settle(undefined);
    }
    return upstreamError(error);
  }

  #end(book: () => Promise<unknown>): void {
    if (this.#ended) return;
    this.#ended = true;
    recordDuration((performance.now() - this.#startedAt) / 1000, this.attributes);
    inBackground(
      book().finally(() => {
        this.span.end();
        flushTelemetry();
      }),
    );
  }
}

type Reader = ReadableStreamDefaultReader<LanguageModelV4StreamPart>;

const PREAMBLE = new Set([
  "stream-start",
  "response-metadata",
  "raw",
  "ping",
  "text-start",
  "reasoning-start",
]);

class ProviderFailure extends Error {}

/** Parts up to and with the first that was produced for the caller. Throws what the provider says instead of one. */
async function readToFirstToken(reader: Reader): Promise<LanguageModelV4StreamPart[]> {
  const head: LanguageModelV4StreamPart[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return head;
    if (value.type === "error") {
      throw new ProviderFailure(messageOf(value.error), { cause: value.error });
    }
    head.push(value);
    if (!PREAMBLE.has(value.type)) return head;
  }
}

/** Passes the parts on, and settles however they end: finished, cut off, failed, or nobody reading any more. */
async function* watch(
  head: LanguageModelV4StreamPart[],
  reader: Reader,
  attempt: Attempt,
): AsyncGenerator<LanguageModelV4StreamPart> {
  try {
    for (const part of head) {
      if (part.type === "finish") attempt.settle(part.usage);
      yield part;
    }
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value.type === "finish") attempt.settle(value.usage);
      yield value.type === "error" ? { type: "error", error: upstreamError(value.error) } : value;
    }
  } catch (error) {
    yield { type: "error", error: upstreamError(error) };
  } finally {
    attempt.settle(undefined);
    await reader.cancel().catch(() => {});
  }
}

/** Our usage of the SDK's: input includes the cache, output includes the reasoning. Undefined when nothing is known. */
function toUsage({ inputTokens, outputTokens, raw }: LanguageModelV4Usage): Usage | undefined {
  if (inputTokens.total === undefined && outputTokens.total === undefined) return undefined;
  // Only Anthropic's own usage tells writes for an hour, which cost more, from those for five minutes.
  const creation = raw?.cache_creation as { ephemeral_1h_input_tokens?: number } | undefined;
  const hourly = creation?.ephemeral_1h_input_tokens ?? 0;
  return {
    input_tokens: inputTokens.total ?? null,
    output_tokens: outputTokens.total ?? null,
    cache_read_tokens: inputTokens.cacheRead ?? 0,
    cache_write_tokens: (inputTokens.cacheWrite ?? 0) - hourly,
    cache_write_1h_tokens: hourly,
    reasoning_tokens: outputTokens.reasoning ?? 0,
  };
}

/**
 * Whether a failed call is known to cost nothing: refused by the provider, or never sent. An answer that cannot
 * be read, and a connection that broke after the request was out, may well be charged.
 */
function chargesNothing(error: unknown): boolean {
  if (error instanceof ProviderFailure) return true;
  if (!APICallError.isInstance(error)) return false;
  if (error.statusCode !== undefined) return error.statusCode >= 400;
  return /\(Connect\)|connection refused|ECONNREFUSED|ENOTFOUND|dns error/i.test(
    messageOf(error.cause ?? error),
  );
}

function upstreamError(error: unknown): SpendgateError {
  if (error instanceof SpendgateError) return error;
  log("warn", "upstream_error", { message: messageOf(error) });
  const status = APICallError.isInstance(error) ? error.statusCode : undefined;
  const retryAfter = APICallError.isInstance(error)
    ? error.responseHeaders?.["retry-after"]
    : undefined;
  return new SpendgateError("upstream_error", "The model's provider failed.", {
    details: { upstream: { status: status ?? null, retryAfter: retryAfter ?? null } },
    cause: error,
  });
}

function keyOf(prefix: string): string {
  const key = Deno.env.get(`${prefix}_API_KEY`);
  if (!key) {
    throw invalidRequest([
      { path: "model", message: `The provider is not set up: ${prefix}_API_KEY is missing.` },
    ]);
  }
  return key;
}

function baseUrlOf(prefix: string): string | undefined {
  return Deno.env.get(`${prefix}_BASE_URL`) || undefined;
}
