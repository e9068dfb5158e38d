// Delivers alerts to their channels, each at least once. Called by a scheduler.
import * as z from "zod";
import type { Gate } from "../_shared/gate/gate.ts";
import type { Context } from "../_shared/http/serve.ts";
import type { Env } from "../_shared/runtime/env.ts";
import { describeError, log } from "../_shared/runtime/log.ts";
import { SPANS } from "../_shared/runtime/telemetry/names.ts";
import { inSpan } from "../_shared/runtime/telemetry/spans.ts";
import { record } from "../_shared/runtime/telemetry/telemetry.ts";
import { type Claimed, claimedShape, deliveryShape } from "./alert.ts";
import { envChannels, send } from "./channels.ts";
import { DeliveryFailure } from "./failure.ts";

/** Deliveries at a time, and milliseconds after which no more are begun. */
const BATCH = 20;
const ENOUGH_MS = 60_000;

/** POST /alerts. */
export async function deliverAlerts({ env, gate }: Context): Promise<Response> {
  const channels = envChannels(env);
  const counts = { delivered: 0, failed: 0 };
  const deadline = Date.now() + ENOUGH_MS;
  while (Date.now() < deadline) {
    // What is claimed is nobody else's for a while; what fails comes again by itself.
    const claimed = await gate.call("claim_deliveries", claimedShape, {
      channels,
      max_rows: BATCH,
    });
    const delivered = await Promise.all(claimed.map((each) => deliver(each, env, gate)));
    for (const isDelivered of delivered) counts[isDelivered ? "delivered" : "failed"]++;
    if (claimed.length < BATCH) break;
  }
  return Response.json(counts);
}

/** Whether it was delivered, and that is on record: else it is delivered again. Never throws. */
async function deliver(claimed: Claimed, env: Env, gate: Gate): Promise<boolean> {
  const { delivery_id, attempts, alert, channel_kind: channelKind, event } = claimed;
  const failed = (thrown: unknown) =>
    log("warn", "alert_failed", {
      alertId: alert.id,
      deliveryId: delivery_id,
      alertKind: alert.kind,
      channelKind,
      deliveryEvent: event,
      attempts,
      ...describeError(thrown),
    });
  const failure = await inSpan(
    SPANS.alert,
    { kind: "client", attributes: { alert: alert.id, alertKind: alert.kind } },
    () => sendOne(claimed, env),
  ).then(
    () => undefined,
    (thrown) => {
      failed(thrown);
      return toFailure(thrown);
    },
  );
  const finished = gate.call("finish_delivery", z.boolean(), {
    delivery_id,
    error: failure?.message ?? null,
    retry_after_seconds: failure?.retryAfter ?? null,
    is_final: failure?.isFinal ?? false,
  });
  const isDelivered = await finished.then(
    () => failure === undefined,
    (thrown) => {
      failed(thrown);
      return false;
    },
  );
  const outcome = isDelivered ? "delivered" : "failed";
  record("alerts", 1, { alertKind: alert.kind, outcome });
  return isDelivered;
}

/** Each is read by itself: one that nobody can read does not keep the others. */
async function sendOne(claimed: Claimed, env: Env): Promise<void> {
  const read = deliveryShape.safeParse(claimed);
  if (read.success) return send(read.data, env);
  const [issue] = read.error.issues;
  // Where it is wrong, and not what stands there: that may be a secret.
  throw new DeliveryFailure(`the alert cannot be read: ${issue?.path.join(".")}`, {
    code: "unreadable",
  });
}

/** What the row may say. Words that are not ours stay out of it: they may have an address or a key in them. */
function toFailure(thrown: unknown): DeliveryFailure {
  return thrown instanceof DeliveryFailure
    ? thrown
    : new DeliveryFailure("the alert could not be sent");
}
