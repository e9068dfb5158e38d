// What is said of a refusal where the caller does not hear it: a count by reason, and a line in the log.
import { SpendgateError } from "../errors.ts";
import { type LogFields, log } from "../runtime/log.ts";
import { countRefusal } from "../runtime/telemetry.ts";

/** Who was refused, and for what: never what was asked. */
export interface Refused extends LogFields {
  tenantId: string | undefined;
  userId: string | null;
}

/** Records an error that is a refusal; every other error is somebody else's to tell. */
export function recordRefusal(
  event: "llm_call" | "sandbox",
  error: unknown,
  who: Refused,
  attributes: Record<string, string>,
): void {
  if (!(error instanceof SpendgateError) || error.code !== "quota_exceeded") return;
  const { reason } = error.details;
  countRefusal({ ...attributes, "spendgate.reason": String(reason) });
  log("info", event, {
    outcome: "refused",
    ...who,
    quotaId: error.quotaId,
    reason: String(reason),
  });
}
