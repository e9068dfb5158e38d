// A bar of what is spent, held and left. Its colours are variables, so that any design can set them:
// --spend-spent, --spend-held, --spend-near, --spend-full, --spend-track, --spend-muted.
import type { CSSProperties } from "react";
import { type SpendOptions, useSpend } from "./use_spend.ts";

export type SpendMeterProps = SpendOptions & { className?: string; style?: CSSProperties };

export function SpendMeter({ className, style, ...options }: SpendMeterProps) {
  const { state, quota, refusal, lastCostUsd } = useSpend(options);
  const muted = { color: "var(--spend-muted, #565d6b)" };
  if (!quota) {
    return (
      <div className={className} style={style} role="status">
        {refusal?.message ?? <span style={muted}>Your quota is not known.</span>}
      </div>
    );
  }
  const spent = share(quota.spent_usd, quota.limit_usd);
  const held = Math.min(100 - spent, share(quota.reserved_usd, quota.limit_usd));
  const text = `${usd(quota.remaining_usd)} left of ${usd(quota.limit_usd)} ${PERIODS[quota.period] ?? ""}`;
  const colour = {
    ok: "var(--spend-spent, #1d56c9)",
    near: "var(--spend-near, #c47a00)",
    full: "var(--spend-full, #cf2f2f)",
    unknown: "",
  }[state];
  return (
    <div
      className={className}
      style={{ fontVariantNumeric: "tabular-nums", ...style }}
      data-state={state}
    >
      <div
        role="progressbar"
        aria-label="Spent of your quota"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.min(100, Math.max(0, quota.utilization_percent))}
        aria-valuetext={`${usd(quota.spent_usd)} spent, ${usd(quota.reserved_usd)} held, ${text}`}
        style={{
          display: "flex",
          height: 8,
          overflow: "hidden",
          borderRadius: 4,
          background: "var(--spend-track, #e1e4ea)",
        }}
      >
        <div style={{ width: `${spent}%`, background: colour }} />
        <div style={{ width: `${held}%`, background: "var(--spend-held, #8fb2f2)" }} />
      </div>
      <div
        style={{
          display: "flex",
          flexWrap: "wrap",
          justifyContent: "space-between",
          gap: "0 12px",
        }}
      >
        <span>{text}</span>
        {lastCostUsd !== undefined && <span style={muted}>last answer {usd(lastCostUsd)}</span>}
      </div>
      {/* Said to those who do not see the bar, when it changes. */}
      <div role="status">
        {refusal
          ? refusal.message
          : state === "near"
            ? `${quota.utilization_percent} % of your quota is used.`
            : state === "full"
              ? "Your quota is used up."
              : null}
      </div>
    </div>
  );
}

const PERIODS: Record<string, string> = {
  hour: "this hour",
  day: "today",
  week: "this week",
  month: "this month",
  lifetime: "in all",
};

function share(part: string, whole: string): number {
  return Math.min(100, Math.max(0, (100 * Number(part)) / Number(whole) || 0));
}

/** Cents; below a cent three significant digits: what was spent never reads as nothing. */
function usd(amount: string): string {
  const value = Number(amount);
  if (value === 0 || Math.abs(value) >= 0.01) return `$${value.toFixed(2)}`;
  const digits = Math.min(12, 2 - Math.floor(Math.log10(Math.abs(value))));
  return `$${value.toFixed(digits).replace(/0+$/, "")}`;
}
