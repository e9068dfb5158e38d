// How near a caller is to its limit, in the headers of the IETF's draft (RateLimit header fields for HTTP).
import type { QuotaDetails } from "./answers.ts";

const WINDOW_SECONDS: Record<string, number> = { hour: 3600, day: 86_400, week: 604_800 };

/**
 * `RateLimit-Policy` and `RateLimit` of the IETF draft, in US cents, of the quota that is nearest to its
 * limit; none while no quota is above its warning threshold.
 */
export function rateLimitHeaders(quotas: QuotaDetails[], now = Date.now()): Record<string, string> {
  const [tightest] = [...quotas].sort((a, b) => b.utilization_percent - a.utilization_percent);
  if (!tightest) return {};
  const { scope, resource_type, period, period_end } = tightest;
  const name = `"${scope}-${resource_type}-${period}"`;
  const window = WINDOW_SECONDS[period];
  const reset = period_end && Math.max(0, Math.ceil((Date.parse(period_end) - now) / 1000));
  return {
    "RateLimit-Policy": `${name};q=${cents(tightest.limit_usd)};qu="usd-cents"${window ? `;w=${window}` : ""}`,
    RateLimit: `${name};r=${cents(tightest.remaining_usd)}${reset === null ? "" : `;t=${reset}`}`,
  };
}

/** The point moved by two places and the rest cut off: a way to write dollars, for headers of whole numbers only. */
function cents(usd: number): string {
  return usd
    .toFixed(12)
    .replace(/\.(\d\d)\d*$/, "$1")
    .replace(/^0+(?=\d)/, "");
}
