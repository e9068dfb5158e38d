// What is spent, held and left of a quota: dollars first, the percentage after.
import type { ReactNode } from "react";
import type { Quota } from "../data/feeds.ts";
import { compareUsd, exactUsd, formatUsd, subtractUsd, sumUsd, usdNumber } from "../lib/money.ts";
import { formatMoment, fromNow } from "../lib/time.ts";
import { Badge } from "./parts.tsx";

type Figures = Pick<Quota, "limit_usd" | "spent_usd" | "reserved_usd" | "utilization_percent"> & {
  warning_thresholds?: number[];
};

export type State = "ok" | "near" | "full";

export function stateOf({ utilization_percent, warning_thresholds }: Figures): State {
  if (utilization_percent >= 100) return "full";
  return utilization_percent >= (warning_thresholds?.[0] ?? 0.8) * 100 ? "near" : "ok";
}

export function QuotaBar({ quota, label }: { quota: Figures; label: string }) {
  const { limit_usd, spent_usd, reserved_usd } = quota;
  const used = sumUsd([spent_usd, reserved_usd]);
  const isOver = compareUsd(used, limit_usd) > 0;
  const left = isOver
    ? `${formatUsd(subtractUsd(used, limit_usd))} over the limit of ${formatUsd(limit_usd)}`
    : `${formatUsd(subtractUsd(limit_usd, used))} left of ${formatUsd(limit_usd)}`;
  const text = `${formatUsd(spent_usd)} spent, ${formatUsd(reserved_usd)} held, ${left}`;
  const percent = Math.max(0, Math.min(100, quota.utilization_percent));
  const colour = { ok: "bg-accent", near: "bg-warn-fill", full: "bg-bad-fill" }[stateOf(quota)];
  return (
    <div>
      <div
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
        aria-valuetext={text}
        className="flex h-2.5 overflow-hidden rounded-full bg-hover ring-1 ring-inset ring-line"
      >
        <div className={colour} style={{ width: width(spent_usd, limit_usd) }} />
        <div className="held" style={{ width: width(reserved_usd, limit_usd) }} />
      </div>
      <p className="mt-1.5 flex flex-wrap justify-between gap-x-4 text-sm">
        <span title={exactUsd(spent_usd)}>
          <strong className="font-semibold">{formatUsd(spent_usd)}</strong>{" "}
          <span className="text-muted">spent</span>
        </span>
        {compareUsd(reserved_usd, "0") > 0 && (
          <span title={exactUsd(reserved_usd)}>
            {formatUsd(reserved_usd)} <span className="text-muted">held</span>
          </span>
        )}
        <span className={isOver ? "font-medium text-bad" : undefined}>{left}</span>
      </p>
    </div>
  );
}

/** A sliver at least, where there is anything at all. */
function width(part: string, limit: string): string {
  const share = usdNumber(part) / usdNumber(limit);
  if (!(share > 0)) return "0";
  return `max(2px, ${Math.min(100, share * 100)}%)`;
}

const RESOURCES = { llm: "LLM calls", e2b: "Sandboxes", all: "Everything" };
const PERIODS = {
  hour: "per hour",
  day: "per day",
  week: "per week",
  month: "per month",
  lifetime: "in all",
};

export const resourceName = (type: Quota["resource_type"]) => RESOURCES[type];
export const periodName = (period: Quota["period"]) => PERIODS[period];

/** "LLM calls per month", with what narrows it. */
export function quotaName({
  resource_type,
  period,
  task,
  product,
}: Pick<Quota, "resource_type" | "period"> & Partial<Pick<Quota, "task" | "product">>): string {
  const narrowed = [task && `task ${task}`, product].filter(Boolean).join(", ");
  return `${RESOURCES[resource_type]} ${PERIODS[period]}${narrowed ? ` (${narrowed})` : ""}`;
}

export function Resets({
  quota,
  zone,
}: {
  quota: Pick<Quota, "period" | "period_end">;
  zone: string;
}) {
  // lite and PostgREST say "infinity" for the end of a lifetime.
  if (quota.period === "lifetime") return <span>never resets</span>;
  return (
    <time
      className="whitespace-nowrap"
      dateTime={quota.period_end}
      title={formatMoment(quota.period_end, zone)}
    >
      resets {fromNow(quota.period_end)}
    </time>
  );
}

export function StateBadge({ quota, children }: { quota: Figures; children?: ReactNode }) {
  const state = stateOf(quota);
  const percent = `${quota.utilization_percent} %`;
  return (
    <span className="inline-flex flex-wrap items-center gap-1">
      <Badge tone={{ ok: "plain", near: "warn", full: "bad" }[state] as "plain"}>
        {
          { ok: percent, near: `near the limit, ${percent}`, full: `at the limit, ${percent}` }[
            state
          ]
        }
      </Badge>
      {children}
    </span>
  );
}
