// The gate, for programs: what is spent is held before, and booked after.
import type { QuotaDetails as Row } from "../../../functions/_shared/gate/answers.ts";
import { type Metadata, Gate as SqlGate } from "../../../functions/_shared/gate/gate.ts";
import { type Env, readEnv } from "../../../functions/_shared/runtime/env.ts";
import { environment } from "../../../functions/_shared/runtime/environment.ts";
import { keepInternals } from "./internals.ts";
import type {
  Booking,
  CallRequest,
  Gate,
  GateOptions,
  QuotaDetails,
  Reservation,
  Spent,
  Usage,
} from "./types.ts";

/**
 * A gate of the project at `url`. Make one, and keep it.
 * @throws SpendgateError not_configured where url or secretKey is missing, here and in the environment.
 */
export function createGate(options: GateOptions = {}): Gate {
  const { url, secretKey, publishableKey, jwks, settings } = options;
  const given: Record<string, string | undefined> = {
    SPENDGATE_LOG_LEVEL: "warn",
    ...environment(),
    ...settings,
    ...(url && { SUPABASE_URL: url }),
    ...(secretKey && { SUPABASE_SECRET_KEYS: JSON.stringify({ default: secretKey }) }),
    ...(publishableKey && {
      SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: publishableKey }),
    }),
    ...(jwks && { SUPABASE_JWKS: JSON.stringify(jwks) }),
  };
  const names = ["PUBLISHABLE_KEYS", "PUBLISHABLE_KEY", "ANON_KEY", "JWKS"];
  const knowsUsers = names.some((name) => given[`SUPABASE_${name}`]);
  const env = readEnv({ ...given, SUPABASE_ANON_KEY: given.SUPABASE_ANON_KEY ?? "none" });
  const gate = new ProgramGate(new SqlGate(env), env);
  keepInternals(gate, { env, gate: gate.sql, knowsUsers });
  return gate;
}

class ProgramGate implements Gate {
  readonly #env: Env;

  constructor(
    readonly sql: SqlGate,
    env: Env,
  ) {
    this.#env = env;
    // Not shown, and not copied with it: it can call the database.
    Object.defineProperty(this, "sql", { enumerable: false });
  }

  async reserve(call: CallRequest): Promise<Reservation> {
    const { enforceCostQuotas, enforceE2bQuotas } = this.#env;
    const { id, warnings } = await this.sql.reserve({
      ...call,
      userId: call.userId ?? null,
      task: call.task ?? "chat",
      enforce: call.enforce ?? (call.resourceType === "e2b" ? enforceE2bQuotas : enforceCostQuotas),
    });
    return { id, warnings: warnings.map(toDetails) };
  }

  async extend(reservationId: string, usage: Usage, ttlSeconds = 600): Promise<void> {
    await this.sql.extend(reservationId, usage, ttlSeconds, this.#env.enforceCostQuotas);
  }

  async settle(
    reservationId: string,
    usage: Usage | null,
    { isEstimated = false }: { isEstimated?: boolean } = {},
  ): Promise<Booking | undefined> {
    const metadata: Metadata = isEstimated ? { is_estimated: true } : {};
    return toBooking(await this.sql.settle(reservationId, usage, metadata));
  }

  async release(reservationId: string, reason: string): Promise<Booking | undefined> {
    return toBooking(await this.sql.release(reservationId, reason));
  }

  async withReservation<T>(
    call: CallRequest,
    spend: (reservation: Reservation) => Promise<Spent<T>>,
  ): Promise<T> {
    const reservation = await this.reserve(call);
    let spent: Spent<T>;
    try {
      spent = await spend(reservation);
    } catch (error) {
      // Nobody knows what it used: the estimate is booked.
      await this.settle(reservation.id, null);
      throw error;
    }
    await this.settle(reservation.id, spent.usage);
    return spent.value;
  }
}

function toBooking(booked: Awaited<ReturnType<SqlGate["settle"]>>): Booking | undefined {
  if (booked === undefined) return undefined;
  const { reservation_id, status, cost_usd, is_estimated } = booked;
  return { reservationId: reservation_id, status, costUsd: cost_usd, isEstimated: is_estimated };
}

function toDetails(row: Row): QuotaDetails {
  return {
    scope: row.scope,
    scopeId: row.scope_id,
    resourceType: row.resource_type,
    limitUsd: row.limit_usd,
    currentSpendUsd: row.current_spend_usd,
    estimatedCostUsd: row.estimated_cost_usd,
    remainingUsd: row.remaining_usd,
    period: row.period,
    utilizationPercent: row.utilization_percent,
  };
}
