// A refusal by a quota, as an error.
import { SpendgateError } from "../errors.ts";
import type { QuotaDetails, ReserveAnswer } from "./answers.ts";
import { rateLimitHeaders } from "./rate_limit.ts";

/** The refusal of a call: 429, naming the quota that refused. */
export function quotaExceeded(resourceType: "llm" | "e2b", answer: ReserveAnswer): SpendgateError {
  return new SpendgateError("quota_exceeded", answer.message ?? "The quota is used up.", {
    details: {
      resourceType,
      reason: answer.reason,
      quotaDetails: answer.quota && describeQuota(answer.quota),
      retryAfter: answer.retry_after,
    },
    retryAfter: answer.retry_after ?? undefined,
    headers: rateLimitHeaders(answer.quota ? [answer.quota] : []),
    quotaId: answer.quota?.quota_id,
  });
}

function describeQuota(quota: QuotaDetails) {
  return {
    scope: quota.scope,
    scopeId: quota.scope_id,
    resourceType: quota.resource_type,
    limitUsd: quota.limit_usd,
    currentSpendUsd: quota.current_spend_usd,
    estimatedCostUsd: quota.estimated_cost_usd,
    remainingUsd: quota.remaining_usd,
    period: quota.period,
    utilizationPercent: quota.utilization_percent,
  };
}
