// Delivers the outbox of alerts to a webhook, each at least once. Called by a scheduler.
import { z } from "zod";
import type { Gate } from "../_shared/gate/gate.ts";
import type { Context } from "../_shared/http/serve.ts";
import { expectRight, notConfigured } from "../_shared/runtime/env.ts";
import { describeError, log, messageOf } from "../_shared/runtime/log.ts";
import { SPANS } from "../_shared/runtime/telemetry/names.ts";
import { inSpan } from "../_shared/runtime/telemetry/spans.ts";
import { record } from "../_shared/runtime/telemetry/telemetry.ts";
import { alertShape, type Claimed, claimedShape } from "./alert.ts";
import { deliver } from "./webhook.ts";

/** Alerts that are delivered at a time, and milliseconds after which no more are begun. */
const BATCH = 20;
const ENOUGH_MS = 60_000;

/** POST /alerts. */
export async function deliverAlerts({ env, gate }: Context): Promise<Response> {
  const { alertWebhookUrl: url, alertWebhookSecret: secret } = env;
  expectRight(env.problems, ["ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET"]);
  if (!url) throw notConfigured("ALERT_WEBHOOK_URL is not set.");

  const counts = { delivered: 0, failed: 0 };
  const deadline = Date.now() + ENOUGH_MS;
  while (Date.now() < deadline) {
    // What is claimed is nobody else's for a while; what fails comes again by itself.
    const claimed = await gate.call("claim_alerts", claimedShape, { max_rows: BATCH });
    const delivered = await Promise.all(
      // Each is read by itself: one that nobody can read does not keep the others.
      claimed.map((alert) =>
        deliverOne(alert, gate, () =>
          inSpan(
            SPANS.alert,
            { kind: "client", attributes: { alert: alert.id, alertKind: alert.kind } },
            async () => deliver(alertShape.parse(alert), url, secret),
          ),
        ),
      ),
    );
    for (const isDelivered of delivered) counts[isDelivered ? "delivered" : "failed"]++;
    if (claimed.length < BATCH) break;
  }
  return Response.json(counts);
}

/** Whether it was delivered, and that is on record: else it is delivered again. */
async function deliverOne(
  alert: Claimed,
  gate: Gate,
  deliver: () => Promise<void>,
): Promise<boolean> {
  const failed = (thrown: unknown) => {
    const { id: alertId, attempts } = alert;
    log("warn", "alert_failed", { alertId, attempts, ...describeError(thrown) });
    return messageOf(thrown);
  };
  const error = await deliver().then(() => null, failed);
  const finished = gate.call("finish_alert", z.boolean(), { alert_id: alert.id, error });
  const isDelivered = await finished.then(
    () => error === null,
    (thrown) => failed(thrown) === null,
  );
  const outcome = isDelivered ? "delivered" : "failed";
  record("alerts", 1, { alertKind: alert.kind, outcome });
  return isDelivered;
}
