// An alert as a webhook, as https://www.standardwebhooks.com has it: receivers find libraries for it.
import { Webhook } from "standardwebhooks";
import type { Alert, QuotaAlert } from "./alert.ts";
import type { Message } from "./message.ts";

export interface WebhookRequest {
  headers: Record<string, string>;
  body: string;
}

/** Sent again, it has the same `webhook-id`. A secret `whsec_…` is base64 itself, any other is its own text. */
export function toWebhook(
  alert: Alert,
  message: Message,
  id: string,
  secret: string | undefined,
  now = new Date(),
): WebhookRequest {
  const body = JSON.stringify({
    type: TYPES[alert.kind],
    timestamp: alert.created_at,
    data: { ...toData(alert), ...inWords(message) },
  });
  return {
    headers: {
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
      ...(secret && { "webhook-signature": signer(secret).sign(id, now, body) }),
    },
    body,
  };
}

const signer = (secret: string) =>
  secret.startsWith("whsec_") ? new Webhook(secret) : new Webhook(secret, { format: "raw" });

const TYPES: Record<Alert["kind"], string> = {
  quota_warning: "quota.warning",
  // The name of 0.1.0: receivers look for it.
  quota_exceeded: "quota.limit",
  forecast_exceeded: "quota.forecast_exceeded",
  unusual_spend: "spendgate.unusual_spend",
  reservations_expired: "spendgate.reservations_expired",
  settle_failed: "spendgate.settle_failed",
  sandbox_orphaned: "spendgate.sandbox_orphaned",
  price_missing: "spendgate.price_missing",
  verification_failed: "spendgate.verification_failed",
  job_failed: "spendgate.job_failed",
};

function inWords({ title, sentences, link }: Message) {
  return { title, text: sentences.join(" "), ...(link && { url: link.url }) };
}

function toData(alert: Alert) {
  const common = { alertId: alert.id, tenantId: alert.tenant_id };
  if (!("details" in alert)) {
    const { problem_id, job, subject, message, details } = alert.facts;
    return {
      ...common,
      ...(problem_id != null && { problemId: problem_id, job }),
      subject: subject ?? alert.subject ?? null,
      message,
      details: details ?? {},
    };
  }
  return {
    ...common,
    causedByTenantId: alert.caused_by_tenant_id,
    ...(alert.kind === "forecast_exceeded"
      ? {
          expectedUsd: Number(alert.facts.expected_usd),
          exhaustedAt: alert.facts.exhausted_at ?? null,
        }
      : { threshold: alert.threshold }),
    quota: toQuota(alert),
  };
}

function toQuota({ details, period_start }: QuotaAlert) {
  return {
    id: details.quota_id,
    scope: details.scope,
    scopeId: details.scope_id,
    resourceType: details.resource_type,
    ...(details.task && { task: details.task }),
    ...(details.product && { product: details.product }),
    period: details.period,
    periodStart: period_start,
    periodEnd: details.period_end,
    limitUsd: Number(details.limit_usd),
    spentUsd: Number(details.spent_usd),
    reservedUsd: Number(details.reserved_usd),
    currentSpendUsd: Number(details.current_spend_usd),
    utilizationPercent: details.utilization_percent,
  };
}
