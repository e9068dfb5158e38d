// The gate: typed doors to the SQL functions that hold and book. No money is computed here.

import { type Arguments, Database } from "../database/client.ts";
import { databaseError, isLost } from "../database/errors.ts";
import type { Json } from "../database/types.ts";
import { SpendgateError } from "../errors.ts";
import { inBackground } from "../runtime/background.ts";
import type { Env } from "../runtime/env.ts";
import { describeError, log } from "../runtime/log.ts";
import { sleep } from "../runtime/sleep.ts";
import { SPANS } from "../runtime/telemetry/names.ts";
import { errorType, inSpan } from "../runtime/telemetry/spans.ts";
import { record } from "../runtime/telemetry/telemetry.ts";
import {
  type QuotaDetails,
  type ReserveAnswer,
  reserveAnswer,
  reserveAnswers,
  type SettleAnswer,
  settleAnswer,
  settleAnswers,
} from "./answers.ts";
import { Batches } from "./batches.ts";
import { FailureReports } from "./failure_reports.ts";
import { callHook, type GateHooks, type QuotaEvent } from "./hooks.ts";
import { quotaExceeded } from "./quota_exceeded.ts";
import { together } from "./together.ts";

export type Metadata = { [key: string]: Json };

/** Usage as the SQL contract defines it: counts of tokens or seconds. */
export type Usage = { [key: string]: string | number | null };

export interface ReserveRequest {
  tenantId: string;
  userId: string | null;
  resourceType: "llm" | "e2b";
  /** Upper bound of what the call may use. */
  usage: Usage;
  task: string;
  conversationId?: string;
  pathId?: string;
  /** The caller's; makes a second request with it a replay. */
  idempotencyKey?: string;
  /** Seconds until the hold expires; the call must have ended by then. */
  ttlSeconds?: number;
  /** False: hold and count, but never refuse. */
  enforce: boolean;
  metadata?: Metadata;
}

/** Who calls, and for what: as much as hooks and alerts are told of a call. */
export type CallOf = Pick<
  ReserveRequest,
  "tenantId" | "userId" | "resourceType" | "conversationId"
> & { task?: string };

export interface Reservation {
  id: string;
  warnings: QuotaDetails[];
}

const SETTLE_ATTEMPTS = 4;
/** Rows that one request may answer; more are asked for. */
const PAGE = 1000;

export class Gate {
  readonly #database: Database;
  readonly #hooks: GateHooks;
  readonly #failures: FailureReports;
  readonly #reservations: Batches<Arguments<"reserve">, ReserveAnswer>;
  readonly #settlements: Batches<Arguments<"settle">, SettleAnswer>;
  /** Any other function of the SQL contract: see Database.rpc. */
  readonly call: Database["rpc"];

  constructor(env: Env, hooks: GateHooks = {}) {
    this.#database = new Database(env);
    this.#database.checkContract();
    this.#hooks = hooks;
    this.#failures = new FailureReports(this.#database);
    this.call = this.#database.rpc.bind(this.#database);
    const { call } = this;
    this.#reservations = new Batches(
      together(
        (args) => call("reserve", reserveAnswer, args),
        (calls) => call("reserve_many", reserveAnswers, { calls }),
      ),
    );
    this.#settlements = new Batches(
      together(
        (args) => call("settle", settleAnswer, args),
        (settlements) => call("settle_many", settleAnswers, { settlements }),
      ),
    );
  }

  /** Tables and views of the SQL contract, as the secret key sees them; a query ends with its `deadline()`. */
  get tables(): Pick<Database, "from" | "deadline"> {
    return this.#database;
  }

  /** The database's contract version, which is ours. @throws SpendgateError not_configured; quota_unavailable */
  expectContract(): Promise<number> {
    return this.#database.expectContract();
  }

  /**
   * Holds the estimated cost of a call.
   * @throws SpendgateError quota_exceeded; invalid_request, not_a_member, tenant_closed, unpriced_product;
   *   idempotency_conflict, with the `status` of the first call where the same request was sent before;
   *   quota_unavailable when the database gives no answer.
   */
  reserve(request: ReserveRequest): Promise<Reservation> {
    const { tenantId, task, resourceType } = request;
    const attributes = { tenant: tenantId, task, resourceType, stage: "quota_check" };
    return inSpan(SPANS.reserve, { attributes }, async (span) => {
      const reservation = await this.#reserve(request);
      span.set({ reservation: reservation.id });
      return reservation;
    });
  }

  async #reserve(request: ReserveRequest): Promise<Reservation> {
    const callId = crypto.randomUUID();
    const answer = await this.#reservations
      .ask({
        tenant_id: request.tenantId,
        user_id: request.userId,
        resource_type: request.resourceType,
        usage: request.usage,
        task: request.task,
        conversation_id: request.conversationId ?? null,
        path_id: request.pathId ?? null,
        idempotency_key: request.idempotencyKey ?? null,
        ttl_seconds: request.ttlSeconds ?? 600,
        enforce: request.enforce,
        metadata: { ...request.metadata, call_id: callId },
      })
      .catch((error) => {
        // The answer may be lost, not the hold: what nobody knows of nobody would give back.
        if (isLost(error)) inBackground(this.#releaseLost(request, callId));
        this.reportUnpriced(error, request.tenantId);
        throw error;
      });
    const id = answer.reservation_id;
    if (!answer.allowed || id === null) {
      this.tellRefusal(request, answer);
      throw quotaExceeded(request.resourceType, answer);
    }
    if (answer.replayed) {
      // The first request with this key called the provider on this hold; a second call would be free.
      const status = await this.#statusOf(request.tenantId, id);
      throw new SpendgateError(
        "idempotency_conflict",
        "A request with this idempotency key was admitted before. Take a new key to call again.",
        { details: { reservationId: id, status } },
      );
    }
    const warnings = answer.warnings ?? [];
    if (warnings.length > 0) {
      callHook("onQuotaWarning", this.#hooks.onQuotaWarning, eventOf(request, id, warnings));
    }
    return { id, warnings };
  }

  /** Calls onQuotaExceeded of a call that was refused now, and not when it was sent before. */
  tellRefusal(call: CallOf, { reason, quota, reservation_id, replayed }: ReserveAnswer): void {
    if (reason === null || replayed) return;
    callHook("onQuotaExceeded", this.#hooks.onQuotaExceeded, {
      ...eventOf(call, reservation_id, quota === null ? [] : [quota]),
      reason,
    });
  }

  /** Alerts the operator that there is no price, where that is what a call failed by; answers whether it is. */
  reportUnpriced(error: unknown, tenantId: string | null): boolean {
    if (!(error instanceof SpendgateError) || error.code !== "unpriced_product") return false;
    const { provider, product } = error.details;
    const subject = [provider, product].filter(Boolean).join("/");
    const message = `There is no price for ${subject}: its calls are refused.`;
    this.#failures.report({ kind: "price_missing", tenantId, subject, message });
    return true;
  }

  /**
   * Raises what a reservation holds, for `ttlSeconds` from now; `usage` is the new upper bound of the whole call.
   * @throws SpendgateError quota_exceeded; quota_unavailable when the database gives no answer.
   */
  async extend(
    reservationId: string,
    usage: Usage,
    ttlSeconds: number,
    enforce: boolean,
    call?: CallOf,
  ): Promise<void> {
    await inSpan(SPANS.extend, { attributes: { reservation: reservationId } }, async () => {
      const answer = await this.#database.rpc("extend", reserveAnswer, {
        reservation_id: reservationId,
        usage,
        ttl_seconds: ttlSeconds,
        enforce,
      });
      if (answer.allowed) return;
      if (call) this.tellRefusal(call, { ...answer, reservation_id: reservationId });
      throw quotaExceeded("llm", answer);
    });
  }

  /**
   * Books what a call used; null is unknown usage and books the estimate, flagged. Metadata
   * `{is_estimated: true}` says that the usage was counted here, not reported: booked, and flagged too.
   * Tries again when the database does not answer: settling twice books once. Never throws: a hold
   * that cannot be settled expires, and is booked at its estimate; the operator is alerted, of the tenant where it is said.
   */
  async settle(
    reservationId: string,
    usage: Usage | null,
    metadata: Metadata = {},
    tenantId?: string,
  ): Promise<SettleAnswer | undefined> {
    try {
      return await this.#end(reservationId, () =>
        this.#settlements.ask({ reservation_id: reservationId, usage, metadata }),
      );
    } catch (error) {
      this.#failed("settle", reservationId, error, tenantId);
      // Usage that makes no sense is unknown usage.
      if (usage !== null && error instanceof SpendgateError && error.code === "invalid_request") {
        return this.settle(reservationId, null, {}, tenantId);
      }
    }
  }

  /** Gives a hold back: the provider was not called, or failed and charges nothing. Never throws. */
  async release(
    reservationId: string,
    reason: string,
    tenantId?: string,
  ): Promise<SettleAnswer | undefined> {
    try {
      return await this.#end(reservationId, () =>
        this.#database.rpc("release", settleAnswer, { reservation_id: reservationId, reason }),
      );
    } catch (error) {
      this.#failed("release", reservationId, error, tenantId);
    }
  }

  #end(reservationId: string, book: () => Promise<SettleAnswer>): Promise<SettleAnswer> {
    const attributes = { reservation: reservationId, stage: "settle" };
    return inSpan(SPANS.settle, { attributes }, async (span) => {
      const booked = await patiently(SETTLE_ATTEMPTS, book);
      const { status: outcome, cost_usd: cost, is_estimated: isEstimated } = booked;
      span.set({ outcome, cost, isEstimated });
      return booked;
    });
  }

  #failed(
    outcome: "settle" | "release",
    reservationId: string,
    error: unknown,
    tenantId: string | undefined,
  ): void {
    log("error", `${outcome}_failed`, {
      reservationId,
      stage: "settle",
      ...describeError(error),
    });
    const done = outcome === "settle" ? "settled" : "released";
    this.reportUnsettled(outcome, error, tenantId ?? null, {
      message: `A reservation could not be ${done}: it expires, and is charged at its estimate.`,
      details: { reservation_id: reservationId },
    });
  }

  /** Counts what could not be booked, and alerts the operator. The caller logs it. */
  reportUnsettled(
    outcome: "settle" | "release",
    error: unknown,
    tenantId: string | null,
    { message, details }: { message: string; details: Record<string, string> },
  ): void {
    record("settleFailures", 1, { outcome, error: errorType(error) });
    this.#failures.report({
      kind: "settle_failed",
      tenantId,
      subject: errorType(error),
      message,
      details: { ...details, operation: outcome },
    });
  }

  /** Ids of the tenants that a user belongs to. */
  async tenantsOf(userId: string): Promise<string[]> {
    const { data, error } = await this.#database
      .from("tenant_members")
      .select("tenant_id")
      .eq("user_id", userId)
      .abortSignal(this.#database.deadline());
    if (error) throw databaseError(error);
    return data.map((row) => row.tenant_id);
  }

  /**
   * `provider/product` of every model with a price in force, for everybody, of one of these meters.
   * @throws SpendgateError quota_unavailable when the database gives no answer.
   */
  async pricedModels(
    providers: string[],
    meters: string[],
  ): Promise<{ provider: string; product: string }[]> {
    const found = new Map<string, { provider: string; product: string }>();
    for (let from = 0; ; from += PAGE) {
      const { data, error } = await this.#database
        .from("current_prices")
        .select("provider, product")
        .eq("resource_type", "llm")
        .in("meter", meters)
        .eq("tier_from", 0)
        .neq("product", "*")
        .is("tenant_id", null)
        .in("provider", providers)
        .order("provider")
        .order("product")
        .order("meter")
        .range(from, from + PAGE - 1)
        .abortSignal(this.#database.deadline());
      if (error) throw databaseError(error);
      for (const { provider, product } of data) {
        if (provider && product) found.set(`${provider}/${product}`, { provider, product });
      }
      if (data.length < PAGE) return [...found.values()];
    }
  }

  /** Models of which a quota that refuses has nothing left, for all calls of a tenant or of its user. */
  async usedUpProducts({ tenantId, userId }: { tenantId: string; userId: string | null }) {
    const payers = [tenantId, userId].filter((id) => id !== null);
    const { data, error } = await this.#database
      .from("quota_status")
      .select("product")
      .in("resource_type", ["llm", "all"])
      .eq("enforcement", "block")
      .is("task", null)
      .not("product", "is", null)
      .lte("remaining_usd", 0)
      .or(`tenant_id.is.null,tenant_id.eq.${tenantId}`)
      .or(["scope_id.is.null", ...payers.map((id) => `scope_id.eq.${id}`)].join(","))
      .abortSignal(this.#database.deadline());
    if (error) throw databaseError(error);
    return new Set(data.flatMap(({ product }) => product ?? []));
  }

  async #statusOf(tenantId: string, reservationId: string): Promise<string | undefined> {
    const { data, error } = await this.#database
      .from("reservations")
      .select("status")
      .eq("tenant_id", tenantId)
      .eq("id", reservationId)
      .abortSignal(this.#database.deadline());
    if (error) throw databaseError(error);
    return data[0]?.status;
  }

  /** Finds the hold of a reserve whose answer was lost, and gives it back. */
  async #releaseLost(request: ReserveRequest, callId: string): Promise<void> {
    for (let attempt = 1; attempt <= SETTLE_ATTEMPTS; attempt++) {
      await sleep(2 ** attempt * 500);
      const held = this.#database
        .from("reservations")
        .select("id")
        .eq("tenant_id", request.tenantId)
        .eq("status", "held")
        .eq("metadata->>call_id", callId);
      const { data } = await held.abortSignal(this.#database.deadline());
      const id = data?.[0]?.id;
      if (id) {
        await this.release(id, "answer_lost", request.tenantId);
        return;
      }
    }
  }
}

function eventOf(call: CallOf, reservationId: string | null, quotas: QuotaDetails[]): QuotaEvent {
  const { tenantId, userId, resourceType, task = null, conversationId = null } = call;
  return { tenantId, userId, resourceType, task, conversationId, reservationId, quotas };
}

/** Asks again, up to so many times in all, while the database gives no answer. For what may be asked twice. */
export async function patiently<T>(attempts: number, call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const isTransient = error instanceof SpendgateError && error.code === "quota_unavailable";
      if (!isTransient || attempt >= attempts) throw error;
      await sleep(2 ** attempt * 250);
    }
  }
}
