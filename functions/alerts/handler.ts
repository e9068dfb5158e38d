// Delivers the outbox of alerts to a webhook, each at least once. Called by a scheduler.
import { z } from "zod";
import type { Env } from "../_shared/env.ts";
import { SpendgateError } from "../_shared/errors.ts";
import type { Gate } from "../_shared/gate.ts";
import { log, messageOf } from "../_shared/log.ts";
import { requireSecretKey } from "../_shared/secret_key.ts";
import { deliver } from "./webhook.ts";

const alerts = z.array(
  z.object({
    id: z.number(),
    tenant_id: z.string().nullable(),
    caused_by_tenant_id: z.string().nullable(),
    period_start: z.string(),
    kind: z.string(),
    threshold: z.number(),
    details: z.looseObject({
      quota_id: z.number(),
      scope: z.string(),
      scope_id: z.string().nullable(),
      resource_type: z.string(),
      period: z.string(),
      limit_usd: z.number(),
      current_spend_usd: z.number(),
      utilization_percent: z.number(),
      period_end: z.string().nullable(),
    }),
    created_at: z.string(),
    attempts: z.number(),
  }),
);
export type Alert = z.output<typeof alerts>[number];

/** Alerts that are delivered at a time, and turns that one call takes at most. */
const BATCH = 20;
const TURNS = 20;

export async function handleAlerts(request: Request, env: Env, gate: Gate): Promise<Response> {
  await requireSecretKey(request, env);
  if (request.method !== "POST") throw new SpendgateError("method_not_allowed", "Send a POST.");
  const { alertWebhookUrl: url, alertWebhookSecret: secret } = env;
  if (!url) throw new SpendgateError("not_configured", "ALERT_WEBHOOK_URL is not set.");

  const counts = { delivered: 0, failed: 0 };
  for (let turn = 0; turn < TURNS; turn++) {
    // What is claimed is nobody else's for a while; what fails comes again by itself.
    const claimed = await gate.call("claim_alerts", alerts, { max_rows: BATCH });
    const results = await Promise.all(
      claimed.map(async (alert) => {
        const error = await deliver(alert, url, secret).then(
          () => null,
          (thrown) => messageOf(thrown),
        );
        if (error)
          log("warn", "alert_failed", { alertId: alert.id, attempts: alert.attempts, error });
        await gate.call("finish_alert", z.boolean(), { alert_id: alert.id, error });
        return error === null;
      }),
    );
    const delivered = results.filter(Boolean).length;
    counts.delivered += delivered;
    counts.failed += results.length - delivered;
    if (claimed.length < BATCH) break;
  }
  return Response.json(counts);
}
