// The state that all functions share, as gauges, and what the ledger booked, as counters: told by this one job, so that no worker's old word stands beside it.
import * as z from "zod";
import { databaseError } from "../_shared/database/errors.ts";
import type { Gate } from "../_shared/gate/gate.ts";
import { describeError, log } from "../_shared/runtime/log.ts";
import {
  type GaugeValue,
  isMeasured,
  sendShared,
  type TotalValue,
} from "../_shared/runtime/telemetry/telemetry.ts";

const RESOURCE_TYPES = ["llm", "e2b"] as const;
const LIVE = ["creating", "running", "paused"] as const;
const DAY_MS = 86_400_000;

/** Quotas that are looked at: those nearest to their limit. */
const QUOTAS = 1000;

const costs = z.array(z.object({ resource_type: z.string(), cost_usd: z.number() }));

const totals = z.array(
  z.object({
    resource_type: z.string(),
    booking: z.string(),
    usd: z.number(),
    since: z.string(),
  }),
);

/** Sends the gauges and the totals, where anybody is told. Never throws. */
export async function tellState(gate: Gate): Promise<void> {
  if (!isMeasured()) return;
  const [gauges, booked] = await Promise.all([
    Promise.all([utilization, reservations, sandboxes, ledger].map((part) => orNone(part(gate)))),
    orNone(bookings(gate)),
  ]);
  await sendShared(gauges.flat(), booked);
}

/** A part that fails does not keep the others. */
function orNone<T>(part: Promise<T[]>): Promise<T[]> {
  return part.catch((error) => {
    log("warn", "state_not_told", describeError(error));
    return [];
  });
}

async function utilization({ tables }: Gate): Promise<GaugeValue[]> {
  const { data, error } = await tables
    .from("quota_status")
    .select("scope, resource_type, period, utilization_percent")
    .gt("limit_usd", 0)
    .order("utilization_percent", { ascending: false })
    .limit(QUOTAS)
    .abortSignal(tables.deadline());
  if (error) throw databaseError(error);
  const fullest = new Map<string, GaugeValue>();
  for (const { scope, resource_type: resourceType, period, utilization_percent } of data) {
    const kind = `${scope} ${resourceType} ${period}`;
    if (fullest.has(kind)) continue;
    fullest.set(kind, {
      gauge: "utilization",
      value: Number(utilization_percent) / 100,
      attributes: { scope, resourceType, period },
    });
  }
  return [...fullest.values()];
}

function reservations({ tables }: Gate): Promise<GaugeValue[]> {
  const since = new Date(Date.now() - DAY_MS).toISOString();
  const of = (resourceType: string) =>
    tables
      .from("reservations")
      .select("*", { count: "exact", head: true })
      .eq("resource_type", resourceType)
      .abortSignal(tables.deadline());
  return Promise.all(
    RESOURCE_TYPES.flatMap((resourceType) => [
      counted("openReservations", of(resourceType).eq("status", "held"), { resourceType }),
      counted(
        "expiredReservations",
        of(resourceType).eq("status", "expired").gte("created_at", since),
        { resourceType },
      ),
    ]),
  );
}

function sandboxes({ tables }: Gate): Promise<GaugeValue[]> {
  return Promise.all(
    LIVE.map((sandboxStatus) =>
      counted(
        "activeSandboxes",
        tables
          .from("execution_contexts")
          .select("*", { count: "exact", head: true })
          .eq("status", sandboxStatus)
          .abortSignal(tables.deadline()),
        { sandboxStatus },
      ),
    ),
  );
}

async function counted<G extends GaugeValue["gauge"]>(
  gauge: G,
  query: PromiseLike<{ count: number | null; error: unknown }>,
  attributes: Extract<GaugeValue, { gauge: G }>["attributes"],
): Promise<GaugeValue> {
  const { count, error } = await query;
  if (error || count === null) throw databaseError(error as Parameters<typeof databaseError>[0]);
  return { gauge, value: count, attributes } as GaugeValue;
}

async function ledger(gate: Gate): Promise<GaugeValue[]> {
  const today = new Date().toISOString().slice(0, 10);
  const lines = await gate.call("cost_report", costs, {
    group_by: ["resource_type"],
    from_day: today,
    to_day: today,
  });
  return RESOURCE_TYPES.map((resourceType) => ({
    gauge: "ledgerCost",
    value: lines.find((line) => line.resource_type === resourceType)?.cost_usd ?? 0,
    attributes: { resourceType },
  }));
}

async function bookings(gate: Gate): Promise<TotalValue[]> {
  const lines = await gate.call("ledger_totals", totals, {});
  return lines.map(({ resource_type: resourceType, booking, usd, since }) => ({
    total: "booked",
    value: usd,
    since: new Date(since),
    attributes: { resourceType, booking },
  }));
}
