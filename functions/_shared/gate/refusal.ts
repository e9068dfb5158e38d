// What is said of a refusal where the caller does not hear it: a count by reason, and a line in the log.
import { SpendgateError } from "../errors.ts";
import { type LogFields, log, markLogged } from "../runtime/log.ts";
import { record } from "../runtime/telemetry/telemetry.ts";
import type { Reservation } from "./gate.ts";

/** Who was refused, and for what: never what was asked. */
export interface Refused extends LogFields {
  tenantId: string | undefined;
  userId: string | null;
}

/** Records an error that is a refusal; every other error is somebody else's to tell. */
export function recordRefusal(event: "llm_call" | "sandbox", error: unknown, who: Refused): void {
  if (!(error instanceof SpendgateError) || error.code !== "quota_exceeded") return;
  const { reason, quotaDetails } = error.details as {
    reason: unknown;
    quotaDetails?: { scope: string } | null;
  };
  record("refusals", 1, {
    resourceType: event === "sandbox" ? "e2b" : "llm",
    reason: String(reason),
    scope: quotaDetails?.scope,
  });
  log("info", event, {
    outcome: "refused",
    ...who,
    stage: "quota_check",
    quotaId: error.quotaId,
    reason: String(reason),
  });
  markLogged(error);
}

/** Puts into the log that a call was admitted by quotas that are near their limit: the fullest of them. */
export function recordWarnings({ id, warnings }: Reservation, who: Refused): void {
  const [fullest] = [...warnings].sort((a, b) => b.utilization_percent - a.utilization_percent);
  if (fullest === undefined) return;
  log("info", "quota_warning", {
    ...who,
    reservationId: id,
    quotaId: fullest.quota_id,
    scope: fullest.scope,
    utilizationPercent: fullest.utilization_percent,
  });
}
