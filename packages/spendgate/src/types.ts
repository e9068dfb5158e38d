// What programs name.
import type { QuotaDetails } from "../../../client/errors.ts";

export type { QuotaDetails } from "../../../client/errors.ts";

export interface GateOptions {
  /** Origin of the Supabase project; SUPABASE_URL, when left out. */
  url?: string;
  /** Secret key of the project; SUPABASE_SECRET_KEYS or SUPABASE_SECRET_KEY, when left out. Never in a browser. */
  secretKey?: string;
  /** For asking Auth who calls, by `gated`; SUPABASE_PUBLISHABLE_KEYS or SUPABASE_PUBLISHABLE_KEY, when left out. */
  publishableKey?: string;
  /** Keys that users' tokens are verified with, without asking Auth; SUPABASE_JWKS, when left out. */
  jwks?: { keys: object[] };
  /** Any setting of docs/reference/settings.md, by its name. */
  settings?: Record<string, string>;
}

/** Counts by meter, and what was called: `{ provider, model, input_tokens, output_tokens }`. */
export type Usage = { [meter: string]: string | number | null };

/** Who pays for calls, and what they are for. */
export interface Spender {
  gate: Gate;
  tenantId: string;
  /** Null, or left out: no user of the tenant. */
  userId?: string | null;
  /** `chat`, when left out. */
  task?: string;
  conversationId?: string;
  pathId?: string;
}

export interface CallRequest extends Omit<Spender, "gate"> {
  resourceType: "llm" | "e2b";
  /** The most that the call may use. */
  usage: Usage;
  /** The same key with the same call is refused, not held twice. */
  idempotencyKey?: string;
  /** Seconds until the hold expires; 600, when left out. */
  ttlSeconds?: number;
  /** False: hold and count, but never refuse. */
  enforce?: boolean;
}

export interface Reservation {
  id: string;
  /** Quotas that are near their limit. */
  warnings: QuotaDetails[];
}

export interface Booking {
  reservationId: string;
  status: "settled" | "released" | "expired";
  costUsd: number;
  /** The usage was not reported. */
  isEstimated: boolean;
}

export interface Spent<T> {
  value: T;
  /** What was used; null: nobody knows, and the estimate is booked. */
  usage: Usage | null;
}

export interface Gate {
  /**
   * Holds what a call may cost at most.
   * @throws SpendgateError `quota_exceeded`, `not_a_member`, `tenant_closed`, `unpriced_product`, `invalid_request`,
   *   `idempotency_conflict`, `quota_unavailable`.
   */
  reserve(call: CallRequest): Promise<Reservation>;
  /** Holds more, for `ttlSeconds` from now; `usage` is the new bound of the whole call. @throws SpendgateError */
  extend(reservationId: string, usage: Usage, ttlSeconds?: number): Promise<void>;
  /**
   * Books what a call used; null books the estimate. Tries again while the database does not answer, and never throws:
   * undefined is a hold that will expire, and be booked at its estimate.
   */
  settle(
    reservationId: string,
    usage: Usage | null,
    options?: { isEstimated?: boolean },
  ): Promise<Booking | undefined>;
  /** Gives a hold back: the call was not made. Never throws. */
  release(reservationId: string, reason: string): Promise<Booking | undefined>;
  /** Reserves, spends, settles. Where `spend` throws, the estimate is booked. @throws SpendgateError of reserve */
  withReservation<T>(
    call: CallRequest,
    spend: (reservation: Reservation) => Promise<Spent<T>>,
  ): Promise<T>;
}
