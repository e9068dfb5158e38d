// One call of a provider: its hold, and what becomes of it.
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { SpendgateError } from "../errors.ts";
import type { SettleAnswer } from "../gate/answers.ts";
import type { Reservation, Usage } from "../gate/gate.ts";
import type { Metering } from "../gate/metering.ts";
import { recordRefusal, recordWarnings } from "../gate/refusal.ts";
import { inBackground } from "../runtime/background.ts";
import { deferred } from "../runtime/deferred.ts";
import { describeError, log, markLogged } from "../runtime/log.ts";
import { activeContext, type TraceContext, within } from "../runtime/telemetry/context.ts";
import { providerName, SPANS } from "../runtime/telemetry/names.ts";
import { errorType, OpenSpan } from "../runtime/telemetry/spans.ts";
import { record } from "../runtime/telemetry/telemetry.ts";
import { stopAtWorkerEnd } from "../runtime/worker_end.ts";
import type { Product } from "./model_name.ts";
import {
  CallTimeout,
  chargesNothing,
  TryTimeout,
  unsentError,
  upstreamError,
} from "./providers/error.ts";
import { ProviderRequest, stopWith } from "./providers/request.ts";

/** Tokens that are held more at a time when a provider produces more than it was asked for. */
const EXTENSION_TOKENS = 256;

/** Seconds that a hold outlives its call: time to book it. */
const BOOKING_SECONDS = 60;

/** The client has gone, and its time to come back is over. */
class ClientGone extends Error {
  override readonly name = "ClientGone";
}

/** What a provider says of an answer, beside the answer. */
export interface AnswerFacts {
  model?: string;
  id?: string;
  finishReason?: string;
}

/** What is done, for metrics. */
export type Operation =
  | "chat"
  | "embeddings"
  | "image_generation"
  | "moderation"
  | "speech"
  | "transcription";

/** What a call is, for metrics. */
interface CallKind {
  operation: Operation;
  provider: string;
  requestModel: string;
}

/** How long a call may take. */
export interface CallTime {
  /** Moment (ms since 1970) by which it has ended. */
  deadline: number;
  /** Milliseconds after which another model is asked, where this one has produced nothing by then. */
  firstTokenMs?: number;
}

/** Begins by asking for its hold. Ends once; later ends are ignored. */
export class Attempt {
  /** Resolves when the call is held. Rejects with what the gate says: then there is nothing to send, and nothing to end. */
  readonly held: Promise<void>;
  /** Aborted when the call has to stop: its caller, its time, its client, its worker, or its quota says so. */
  readonly signal: AbortSignal;
  /** What reaches the provider, once the call is held, and what comes of it. */
  readonly request: ProviderRequest;
  /** The counted usage of a call that failed before its first token. */
  counted: Usage | undefined;
  readonly #stop = new AbortController();
  readonly #settled = deferred<SettleAnswer | undefined>();
  readonly #trace: TraceContext;
  #reservation!: Reservation;
  #span!: OpenSpan;
  #startedAt!: number;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #forgetWorkerEnd!: () => void;
  #try: ReturnType<typeof setTimeout> | undefined;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #heldOutput: number;
  #failure: unknown;
  #firstChunk: number | undefined;
  #ended = false;

  private constructor(
    readonly product: Product,
    readonly bound: Usage,
    readonly metering: Metering,
    readonly kind: CallKind,
    readonly time: CallTime,
    readonly callSignal: AbortSignal | undefined,
  ) {
    this.#trace = metering.trace ?? activeContext();
    this.signal = this.#stop.signal;
    this.#heldOutput = Number(bound.output_tokens);
    this.held = this.#hold();
    // Whoever sends hears of it; a call that fails before has nobody who waits yet.
    this.held.catch(() => {});
    this.request = new ProviderRequest(this.held);
  }

  async #hold(): Promise<void> {
    const { bound, metering, time } = this;
    try {
      metering.gone?.throwIfAborted();
      await metering.receipt?.booked(metering.env.costWaitMs);
      this.#reservation = await within(this.#trace, () =>
        reserve(metering, bound, holdSeconds(time)),
      );
    } catch (error) {
      recordRefusal("llm_call", error, describe(metering, bound));
      throw error;
    }
    recordWarnings(this.#reservation, describe(metering, bound));
    this.#start();
  }

  /** The call may be sent: its time runs, and whoever may stop it can. */
  #start(): void {
    const { bound, metering, time } = this;
    const { gone, receipt, task } = metering;
    const { id: reservationId, warnings } = this.#reservation;
    this.#startedAt = performance.now();
    this.#span = this.#openSpan();
    stopWith(this.#stop, this.callSignal);
    const rest = Math.max(time.deadline - Date.now(), 0);
    this.#deadline = setTimeout(() => this.stop(new CallTimeout("timed out")), rest);
    if (time.firstTokenMs !== undefined) {
      this.#try = setTimeout(() => this.stop(new TryTimeout("timed out")), time.firstTokenMs);
    }
    this.#forgetWorkerEnd = stopAtWorkerEnd((reason) => this.stop(reason));
    if (gone?.aborted) this.leave();
    gone?.addEventListener("abort", this.leave, { once: true });
    receipt?.calls.push({
      reservationId,
      task,
      model: `${bound.provider}/${bound.model}`,
      warnings,
      settled: this.#settled.promise,
    });
  }

  /** Asks to hold what the call may use at most. Meanwhile the call may be made ready: its `request` waits for the hold. */
  static begin(
    operation: Operation,
    product: Product,
    bound: Usage,
    metering: Metering,
    { abortSignal }: Pick<LanguageModelV4CallOptions, "abortSignal">,
    time: CallTime,
  ): Attempt {
    const kind = {
      operation,
      provider: providerName(product.provider),
      requestModel: product.model,
    };
    return new Attempt(product, bound, metering, kind, time, abortSignal);
  }

  /**
   * The same of a call that is made when it is held.
   * @throws SpendgateError what the gate says.
   */
  static async open(...call: Parameters<typeof Attempt.begin>): Promise<Attempt> {
    const attempt = Attempt.begin(...call);
    await attempt.held;
    return attempt;
  }

  #openSpan(): OpenSpan {
    const { bound, kind, metering } = this;
    const name = SPANS.model
      .replace("{operation}", kind.operation)
      .replace("{model}", kind.requestModel);
    return new OpenSpan(name, {
      kind: "client",
      parent: this.#trace,
      attributes: {
        ...kind,
        maxTokens: kind.operation === "chat" ? Number(bound.output_tokens) : undefined,
        task: metering.task,
        tenant: metering.tenantId,
        conversation: metering.conversationId,
        reservation: this.#reservation.id,
      },
    });
  }

  /** What the provider says of its answer. */
  see({ model: responseModel, id: responseId, finishReason }: AnswerFacts): void {
    const finishReasons = finishReason === undefined ? undefined : [finishReason];
    this.#span.set({ responseModel, responseId, finishReasons });
  }

  /** The first part of a stream has come. */
  seeFirstChunk(): void {
    if (this.#firstChunk !== undefined) return;
    this.#firstChunk = this.#seconds();
    this.#span.set({ firstChunk: this.#firstChunk, isStreamed: true });
  }

  /** How far it has come. */
  get #stage(): "call" | "stream" {
    return this.#firstChunk === undefined ? "call" : "stream";
  }

  /** The call fails, whatever it has produced; the first failure is the one that is told. */
  failsBy(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#span.set({ stage: this.#stage });
    this.#span.fail(error);
  }

  /** The provider has produced something: no other model is asked any more. */
  begun(): void {
    clearTimeout(this.#try);
  }

  /** The call ended; undefined is unknown usage, booked at the estimate. */
  settle(usage: Usage | undefined): void {
    this.#end("settled", usage, () =>
      this.metering.gate.settle(this.#reservation.id, usage ?? null, {}, this.metering.tenantId),
    );
  }

  /** The call was ended by us before its provider said what it used: books what is known, flagged. */
  settleCounted(usage: Usage): void {
    this.#end("stopped", usage, () =>
      this.metering.gate.settle(
        this.#reservation.id,
        usage,
        { is_estimated: true },
        this.metering.tenantId,
      ),
    );
  }

  /** Nobody knows what the call used: books the bound, or what is known of it where that is more. */
  settleUnknown(known: Usage | undefined): void {
    const input = Number(known?.input_tokens ?? 0);
    if (Number(known?.output_tokens ?? 0) > this.#heldOutput) {
      this.settleCounted({ ...this.bound, ...known });
    } else {
      // A count that is missing is an unknown one: the estimate is booked, or what is there where that is dearer.
      const isMore = input > Number(this.bound.input_tokens);
      this.settle(isMore ? { input_tokens: input } : undefined);
    }
  }

  /**
   * The call failed before it produced anything: gives the hold back where the provider charges nothing. Answers the
   * error that the caller gets.
   */
  fail(error: unknown): unknown {
    this.failsBy(this.signal.aborted ? this.signal.reason : error);
    const { isSent } = this.request;
    if (chargesNothing(error, this.request)) {
      const reason = isSent ? "provider_failed" : "not_sent";
      this.#end("released", undefined, () =>
        this.metering.gate.release(this.#reservation.id, reason, this.metering.tenantId),
      );
    } else {
      this.settleUnknown(this.counted);
    }
    const told = this.#told(error);
    // The line of this call says so.
    markLogged(told);
    return told;
  }

  #told(error: unknown): unknown {
    if (this.callSignal?.aborted) return this.callSignal.reason;
    if (this.signal.aborted) return upstreamError(this.signal.reason);
    return this.request.isSent ? upstreamError(error) : unsentError(error);
  }

  /**
   * Sees to it that what was produced is held. A provider that goes on beyond its limit is held more for,
   * where the quota has room.
   * @throws SpendgateError quota_exceeded or quota_unavailable: the call must stop.
   */
  async cover(outputTokens: number): Promise<void> {
    if (outputTokens <= this.#heldOutput) return;
    const wanted = outputTokens + EXTENSION_TOKENS;
    const { bound, metering } = this;
    const { id } = this.#reservation;
    try {
      await within(this.#trace, () =>
        metering.gate.extend(
          id,
          { ...bound, output_tokens: wanted },
          holdSeconds(this.time),
          metering.env.enforceCostQuotas,
          { ...metering, resourceType: "llm" },
        ),
      );
    } catch (error) {
      const who = { ...describe(metering, bound), reservationId: id };
      recordRefusal("llm_call", error, who);
      throw error;
    }
    this.#heldOutput = wanted;
  }

  stop(reason: unknown): void {
    this.#stop.abort(reason);
  }

  /** Nobody reads on: the call may end by itself for a moment, which tells its exact usage, then it is stopped. */
  leave = (): void => {
    this.#grace ??= setTimeout(
      () => this.stop(new ClientGone("the client has gone")),
      this.metering.env.disconnectGraceMs,
    );
  };

  #end(
    outcome: string,
    usage: Usage | undefined,
    book: () => Promise<SettleAnswer | undefined>,
  ): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const timer of [this.#deadline, this.#try, this.#grace]) clearTimeout(timer);
    this.#forgetWorkerEnd();
    this.request.close();
    this.metering.gone?.removeEventListener("abort", this.leave);
    within(this.#trace, () => {
      const booking = this.#book(outcome, this.#measure(usage), usage, book);
      this.metering.receipt?.addBooking(booking);
      inBackground(booking);
    });
  }

  #seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** Records how long the call took; answers the seconds. */
  #measure(usage: Usage | undefined): number {
    const seconds = this.#seconds();
    const failed = this.#failure !== undefined && {
      error: errorType(this.#failure),
      stage: this.#stage,
    };
    record("callDuration", seconds, { ...this.kind, ...failed });
    if (this.#firstChunk !== undefined) record("firstChunk", this.#firstChunk, this.kind);
    this.#span.set({
      inputTokens: countOf(usage, "input_tokens"),
      outputTokens: countOf(usage, "output_tokens"),
      cacheReadTokens: countOf(usage, "cache_read_tokens"),
      cacheWriteTokens: countOf(usage, "cache_write_tokens"),
      reasoningTokens: countOf(usage, "reasoning_tokens"),
    });
    return seconds;
  }

  async #book(
    outcome: string,
    seconds: number,
    usage: Usage | undefined,
    book: () => Promise<SettleAnswer | undefined>,
  ): Promise<void> {
    const endedAt = Date.now();
    const booked = await book();
    this.#settled.resolve(booked);
    this.#span.set({ outcome, cost: booked?.cost_usd, isEstimated: booked?.is_estimated });
    this.#span.end(endedAt);
    if (booked) this.#recordSpend(booked, usage);
    const isRight = this.#failure === undefined || this.#failure instanceof ClientGone;
    log(isRight ? "info" : "warn", "llm_call", {
      outcome,
      seconds,
      reservationId: this.#reservation.id,
      ...describe(this.metering, this.bound),
      costUsd: booked?.cost_usd,
      isEstimated: booked?.is_estimated,
      ...(this.#failure !== undefined && {
        stage: this.#stage,
        ...describeError(this.#failure),
      }),
    });
  }

  /** What is on the books: the sums of these are the ledger's. */
  #recordSpend({ cost_usd }: SettleAnswer, usage: Usage | undefined): void {
    const { operation, provider, requestModel } = this.kind;
    record("cost", cost_usd, { resourceType: "llm", provider, requestModel });
    for (const tokenType of ["input", "output"] as const) {
      const count = countOf(usage, `${tokenType}_tokens`);
      if (count) record("tokens", count, { operation, provider, requestModel, tokenType });
    }
  }
}

function countOf(usage: Usage | undefined, meter: string): number | undefined {
  const count = usage?.[meter];
  return count == null ? undefined : Number(count);
}

/** Whose call it is, and of what, for the log. */
function describe({ tenantId, userId, task }: Metering, { provider, model }: Usage) {
  return { tenantId, userId, task, model: `${provider}/${model}` };
}

/** A hold lives as long as its call may, and is booked soon after: what a crash leaves is not held for long. */
function holdSeconds({ deadline }: CallTime): number {
  return Math.ceil(Math.max(deadline - Date.now(), 0) / 1000) + BOOKING_SECONDS;
}

async function reserve(metering: Metering, usage: Usage, ttlSeconds: number): Promise<Reservation> {
  for (;;) {
    try {
      return await metering.gate.reserve({
        ...metering,
        resourceType: "llm",
        usage,
        ttlSeconds,
        idempotencyKey: metering.keys?.next(),
        enforce: metering.env.enforceCostQuotas,
      });
    } catch (error) {
      // The request was sent before, and this call of it failed at no cost: it may be made again.
      const isFree =
        error instanceof SpendgateError &&
        error.code === "idempotency_conflict" &&
        error.details.status === "released";
      if (!isFree) throw error;
    }
  }
}
