// What a request for a sandbox is answered instead of one, each in the stage that it came to.

import { SpendgateError } from "../errors.ts";
import type { Caller, Metering } from "../gate/metering.ts";
import { quotaExceeded } from "../gate/quota_exceeded.ts";
import { recordRefusal } from "../gate/refusal.ts";
import type { ContextClaim } from "./contexts.ts";
import { atStage, type Stage } from "./stage.ts";

/** The refusal of a claim, put on record. */
export function refusal(
  caller: Caller & Partial<Pick<Metering, "task">>,
  claim: ContextClaim,
): SpendgateError {
  if (!claim.refusal) throw new Error("a refused claim says why");
  const error = quotaExceeded("e2b", claim.refusal);
  const tenantId = claim.tenant_id ?? caller.tenantId;
  recordRefusal("sandbox", error, {
    tenantId,
    userId: caller.userId,
    sandboxId: claim.sandbox_id,
  });
  if (tenantId) {
    const { gate, userId, task } = caller;
    const conversationId = claim.conversation_id ?? undefined;
    const call = { tenantId, userId, resourceType: "e2b" as const, task, conversationId };
    gate.tellRefusal(call, claim.refusal);
  }
  return error;
}

/** Answers the refusal; of one that runs already, what was refused is more of its time. */
export function refuse(caller: Caller, claim: ContextClaim): Promise<never> {
  const stage = claim.started_at ? "extend" : "quota_check";
  const tenantId = claim.tenant_id ?? caller.tenantId;
  return atStage(stage, { tenantId }, () => Promise.reject(refusal(caller, claim)));
}

export function noSandbox(stage: Stage): Promise<never> {
  const message = "There is no such sandbox, or it has ended.";
  return failAt(stage, new SpendgateError("not_found", message));
}

export function sandboxBusy(
  stage: Stage,
  message = "The sandbox is being started. Try again.",
): Promise<never> {
  return failAt(stage, new SpendgateError("sandbox_busy", message, { retryAfter: 2 }));
}

function failAt(stage: Stage, error: SpendgateError): Promise<never> {
  return atStage(stage, {}, () => Promise.reject(error));
}

/** What the gate says when it gives no answer, nothing was spent, is not true of a sandbox that runs or ran. */
export function unanswered(message: string): (error: unknown) => never {
  return (error) => {
    const isSilent = error instanceof SpendgateError && error.code === "quota_unavailable";
    if (!isSilent) throw error;
    throw new SpendgateError("quota_unavailable", message, {
      retryAfter: error.retryAfter,
      cause: error.cause,
    });
  };
}
