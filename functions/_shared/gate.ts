// The gate: typed doors to the SQL functions that hold and book. No money is computed here.
import { createClient, type PostgrestError, type SupabaseClient } from "@supabase/supabase-js";
import { z } from "zod";
import { inBackground } from "./background.ts";
import type { Database, Json } from "./database.types.ts";
import type { Env } from "./env.ts";
import { quotaExceeded, SpendgateError } from "./errors.ts";
import { fetchOnce } from "./fetch_once.ts";
import { invalidRequest } from "./http.ts";
import { describeError, log } from "./log.ts";

const quotaDetails = z.object({
  quota_id: z.number(),
  scope: z.string(),
  scope_id: z.string().nullable(),
  resource_type: z.string(),
  period: z.string(),
  limit_usd: z.number(),
  current_spend_usd: z.number(),
  estimated_cost_usd: z.number(),
  remaining_usd: z.number(),
  utilization_percent: z.number(),
  period_end: z.string().nullable(),
});
export type QuotaDetails = z.output<typeof quotaDetails>;

export const reserveAnswer = z.object({
  allowed: z.boolean(),
  reservation_id: z.string().nullable(),
  estimated_cost_usd: z.number().nullable(),
  expires_at: z.string().nullable(),
  reason: z.enum(["limit_reached", "in_flight", "exceeds_limit"]).nullable(),
  message: z.string().nullable(),
  retry_after: z.number().int().nullable(),
  quota: quotaDetails.nullable(),
  warnings: z.array(quotaDetails).nullable(),
  replayed: z.boolean().nullable(),
});
export type ReserveAnswer = z.output<typeof reserveAnswer>;

const settleAnswer = z.object({
  reservation_id: z.string(),
  status: z.enum(["settled", "released", "expired"]),
  cost_usd: z.number(),
  is_estimated: z.boolean(),
});
export type SettleAnswer = z.output<typeof settleAnswer>;

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

export type SqlFunction = keyof Database["spend"]["Functions"];

export interface Reservation {
  id: string;
  warnings: QuotaDetails[];
}

const SETTLE_ATTEMPTS = 4;
/** Rows that one request may answer; more are asked for. */
const PAGE = 1000;

export class Gate {
  readonly #client: SupabaseClient<Database, "spend">;
  readonly #timeoutMs: number;

  constructor(env: Env) {
    this.#timeoutMs = env.gateTimeoutMs;
    this.#client = createClient<Database, "spend">(env.supabaseUrl, env.secretKey, {
      db: { schema: "spend" },
      auth: { persistSession: false, autoRefreshToken: false },
      global: { fetch: fetchOnce },
    });
  }

  /**
   * Holds the estimated cost of a call.
   * @throws SpendgateError quota_exceeded; invalid_request, not_a_member, tenant_closed, unpriced_product;
   *   idempotency_conflict, with the `status` of the first call where the same request was sent before;
   *   quota_unavailable when the database gives no answer.
   */
  async reserve(request: ReserveRequest): Promise<Reservation> {
    const callId = crypto.randomUUID();
    const answer = await this.#rpc("reserve", reserveAnswer, {
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
    }).catch((error) => {
      // The answer may be lost, not the hold: what nobody knows of nobody would give back.
      if (isLost(error)) inBackground(this.#releaseLost(request, callId));
      throw error;
    });
    const id = answer.reservation_id;
    if (!answer.allowed || id === null) throw quotaExceeded(request.resourceType, answer);
    if (answer.replayed) {
      // The first request with this key called the provider on this hold; a second call would be free.
      const status = await this.#statusOf(request.tenantId, id);
      throw new SpendgateError(
        "idempotency_conflict",
        "A request with this idempotency key was admitted before. Take a new key to call again.",
        { details: { reservationId: id, status } },
      );
    }
    return { id, warnings: answer.warnings ?? [] };
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
  ): Promise<void> {
    const answer = await this.#rpc("extend", reserveAnswer, {
      reservation_id: reservationId,
      usage,
      ttl_seconds: ttlSeconds,
      enforce,
    });
    if (!answer.allowed) throw quotaExceeded("llm", answer);
  }

  /**
   * Books what a call used; null is unknown usage and books the estimate, flagged. Metadata
   * `{is_estimated: true}` says that the usage was counted here, not reported: booked, and flagged too.
   * Tries again when the database does not answer: settling twice books once. Never throws: a hold
   * that cannot be settled expires, and is booked at its estimate.
   */
  async settle(
    reservationId: string,
    usage: Usage | null,
    metadata: Metadata = {},
  ): Promise<SettleAnswer | undefined> {
    try {
      return await patiently(SETTLE_ATTEMPTS, () =>
        this.#rpc("settle", settleAnswer, { reservation_id: reservationId, usage, metadata }),
      );
    } catch (error) {
      log("error", "settle_failed", { reservationId, ...describeError(error) });
      // Usage that makes no sense is unknown usage.
      if (usage !== null && error instanceof SpendgateError && error.code === "invalid_request") {
        return this.settle(reservationId, null);
      }
    }
  }

  /** Gives a hold back: the provider was not called, or failed and charges nothing. Never throws. */
  async release(reservationId: string, reason: string): Promise<SettleAnswer | undefined> {
    try {
      return await patiently(SETTLE_ATTEMPTS, () =>
        this.#rpc("release", settleAnswer, { reservation_id: reservationId, reason }),
      );
    } catch (error) {
      log("error", "release_failed", { reservationId, ...describeError(error) });
    }
  }

  /**
   * Any other function of the SQL contract; `answer` is the shape of what it returns.
   * @throws SpendgateError what the database refuses; quota_unavailable when it gives no answer.
   */
  call<T extends z.ZodType>(
    name: SqlFunction,
    answer: T,
    args: Record<string, unknown>,
  ): Promise<z.output<T>> {
    return this.#rpc(name, answer, args);
  }

  /** Ids of the tenants that a user belongs to. */
  async tenantsOf(userId: string): Promise<string[]> {
    const { data, error } = await this.#client
      .from("tenant_members")
      .select("tenant_id")
      .eq("user_id", userId)
      .abortSignal(AbortSignal.timeout(this.#timeoutMs));
    if (error) throw gateError(error);
    return data.map((row) => row.tenant_id);
  }

  /**
   * `provider/product` of every model with a price in force for the tenant, or for everybody.
   * @throws SpendgateError quota_unavailable when the database gives no answer.
   */
  async pricedModels(providers: string[]): Promise<{ provider: string; product: string }[]> {
    const found = new Map<string, { provider: string; product: string }>();
    for (let from = 0; ; from += PAGE) {
      const { data, error } = await this.#client
        .from("current_prices")
        .select("provider, product")
        .eq("resource_type", "llm")
        .eq("meter", "input_tokens")
        .eq("tier_from", 0)
        .neq("product", "*")
        .is("tenant_id", null)
        .in("provider", providers)
        .order("provider")
        .order("product")
        .range(from, from + PAGE - 1)
        .abortSignal(AbortSignal.timeout(this.#timeoutMs));
      if (error) throw gateError(error);
      for (const { provider, product } of data) {
        if (provider && product) found.set(`${provider}/${product}`, { provider, product });
      }
      if (data.length < PAGE) return [...found.values()];
    }
  }

  async #statusOf(tenantId: string, reservationId: string): Promise<string | undefined> {
    const { data, error } = await this.#client
      .from("reservations")
      .select("status")
      .eq("tenant_id", tenantId)
      .eq("id", reservationId)
      .abortSignal(AbortSignal.timeout(this.#timeoutMs));
    if (error) throw gateError(error);
    return data[0]?.status;
  }

  /** Finds the hold of a reserve whose answer was lost, and gives it back. */
  async #releaseLost(request: ReserveRequest, callId: string): Promise<void> {
    for (let attempt = 1; attempt <= SETTLE_ATTEMPTS; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, 2 ** attempt * 500));
      const held = this.#client
        .from("reservations")
        .select("id")
        .eq("tenant_id", request.tenantId)
        .eq("status", "held")
        .eq("metadata->>call_id", callId);
      const { data } = await held.abortSignal(AbortSignal.timeout(this.#timeoutMs));
      const id = data?.[0]?.id;
      if (id) {
        await this.release(id, "answer_lost");
        return;
      }
    }
  }

  async #rpc<T extends z.ZodType>(
    name: SqlFunction,
    answer: T,
    args: Record<string, unknown>,
  ): Promise<z.output<T>> {
    // The generated types know neither nullable arguments nor the shape of a composite answer; zod does.
    const { data, error } = await this.#client
      .rpc(name, args as never)
      .abortSignal(AbortSignal.timeout(this.#timeoutMs));
    if (error) throw gateError(error);
    const result = answer.safeParse(data);
    if (!result.success) {
      throw unavailable(`spend.${name} answered in an unknown shape: ${result.error.message}`);
    }
    return result.data;
  }
}

/** Asks again, up to so many times in all, while the database gives no answer. For what may be asked twice. */
export async function patiently<T>(attempts: number, call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const isTransient = error instanceof SpendgateError && error.code === "quota_unavailable";
      if (!isTransient || attempt >= attempts) throw error;
      await new Promise((resolve) => setTimeout(resolve, 2 ** attempt * 250));
    }
  }
}

/** The contract's SQLSTATEs; everything else means that the gate cannot answer. */
export function gateError(error: PostgrestError): SpendgateError {
  const details = parseDetails(error.details);
  switch (error.code) {
    case "22023":
      return invalidRequest([
        {
          path: String(details.field ?? "usage"),
          message: String(details.problem ?? error.message),
        },
      ]);
    case "42501":
      if (error.message === "not_your_context") {
        return new SpendgateError(
          "not_your_sandbox",
          "Another member of the tenant opened this conversation's sandbox.",
        );
      }
      // Also Postgres' own "permission denied", which is a fault of the set-up, not of the user.
      return error.message === "not_a_member"
        ? new SpendgateError("not_a_member", "You are not a member of this tenant.")
        : unavailable(error.message, error.code);
    case "PT403":
      return new SpendgateError("tenant_closed", "This tenant is closed.");
    case "PT409":
      // A hold that has expired cannot be extended; its call has no cover any more.
      if (error.message === "reservation_ended") return unavailable(error.message, error.code);
      return new SpendgateError(
        "idempotency_conflict",
        "This idempotency key was used in this tenant before, for another request or by another member. Take a new key.",
      );
    case "PT422":
      return new SpendgateError("unpriced_product", `There is no price for ${details.product}.`, {
        details,
      });
    default:
      // Class 22: a value that no column takes, such as a text with NUL in it. It was the caller's, and stays wrong.
      return error.code?.startsWith("22")
        ? invalidRequest([{ path: "", message: "A value is not one that can be stored." }])
        : unavailable(error.message, error.code);
  }
}

/** Whether a call may have been carried out although no answer came: no SQLSTATE says that it was not. */
function isLost(error: unknown): boolean {
  const isUnavailable = error instanceof SpendgateError && error.code === "quota_unavailable";
  return isUnavailable && !(error.cause as { sqlstate?: string }).sqlstate;
}

function unavailable(message: string, sqlstate?: string): SpendgateError {
  return new SpendgateError(
    "quota_unavailable",
    "The quota cannot be checked right now; nothing was spent.",
    {
      retryAfter: 5,
      cause: Object.assign(new Error(message), { name: "GateError", sqlstate }),
    },
  );
}

function parseDetails(details: string | null): Record<string, unknown> {
  try {
    const value = JSON.parse(details ?? "{}");
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
