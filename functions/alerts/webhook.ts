// One alert as a webhook, as https://www.standardwebhooks.com has it: receivers find libraries for it.
import type { Alert } from "./alert.ts";

const TIMEOUT_MS = 10_000;

/**
 * Posts the alert. Sent again, it has the same `webhook-id`.
 * @throws Error when the receiver does not answer 2xx in time.
 */
export async function deliver(
  alert: Alert,
  url: string,
  secret: string | undefined,
): Promise<void> {
  const body = JSON.stringify({
    type: typeOf(alert),
    timestamp: alert.created_at,
    data: toData(alert),
  });
  const id = `alert_${alert.id}`;
  const timestamp = String(Math.floor(Date.now() / 1000));
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      ...(secret && { "webhook-signature": await sign(`${id}.${timestamp}.${body}`, secret) }),
    },
    body,
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  await response.body?.cancel();
  if (!response.ok) {
    const { status } = response;
    throw Object.assign(new Error(`the webhook answered ${status}`), { status });
  }
}

const typeOf = (alert: Alert) =>
  "facts" in alert ? `spendgate.${alert.kind}` : `quota.${alert.kind}`;

function toData(alert: Alert) {
  if ("facts" in alert) {
    const { problem_id, job, subject, message, details } = alert.facts;
    return { alertId: alert.id, problemId: problem_id, job, subject, message, details };
  }
  const { id, tenant_id, caused_by_tenant_id, period_start, threshold, details } = alert;
  return {
    alertId: id,
    tenantId: tenant_id,
    causedByTenantId: caused_by_tenant_id,
    threshold,
    quota: {
      id: details.quota_id,
      scope: details.scope,
      scopeId: details.scope_id,
      resourceType: details.resource_type,
      period: details.period,
      periodStart: period_start,
      periodEnd: details.period_end,
      limitUsd: details.limit_usd,
      spentUsd: details.spent_usd,
      reservedUsd: details.reserved_usd,
      currentSpendUsd: details.current_spend_usd,
      utilizationPercent: details.utilization_percent,
    },
  };
}

/** HMAC-SHA256 in base64. A secret `whsec_…` is base64 itself, any other is its own text. */
async function sign(content: string, secret: string): Promise<string> {
  const encoder = new TextEncoder();
  const bytes = secret.startsWith("whsec_")
    ? Uint8Array.from(atob(secret.slice("whsec_".length)), (char) => char.charCodeAt(0))
    : encoder.encode(secret);
  const key = await crypto.subtle.importKey(
    "raw",
    bytes,
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  const signature = await crypto.subtle.sign("HMAC", key, encoder.encode(content));
  return `v1,${btoa(String.fromCharCode(...new Uint8Array(signature)))}`;
}
