// Starts and resumes sandboxes that are held already.

import type { Caller } from "../gate/metering.ts";
import type { Env } from "../runtime/env.ts";
import { type ContextClaim, Contexts, claimKey } from "./contexts.ts";
import {
  connectSandbox,
  createSandbox,
  findSandbox,
  killSandbox,
  pauseSandbox,
  type Sandbox,
} from "./e2b.ts";
import { isE2bRefusal, sandboxError } from "./error.ts";
import type { ListedSandbox } from "./facts.ts";
import { type LiveSandbox, toLive } from "./live_sandbox.ts";
import { atStage, attributesOf } from "./stage.ts";
import { refuse, unanswered } from "./stage_errors.ts";

/** Starts or resumes a sandbox that is held already; undefined when that came to nothing, and is to be asked again. */
export async function startSandbox(
  caller: Caller,
  claim: ContextClaim,
  claimId: string,
): Promise<LiveSandbox | undefined> {
  const contexts = new Contexts(caller.gate);
  const key = claimKey(claim);
  const timeoutMs = (claim.timeout_seconds ?? caller.env.sandboxTimeoutSeconds) * 1000;
  const stage = claim.sandbox_id ? "connect" : "create";
  return atStage(stage, attributesOf(key), async () => {
    let sandbox: Sandbox | undefined;
    try {
      sandbox = claim.sandbox_id
        ? await connectSandbox(caller.env, claim.sandbox_id, key.contextId, timeoutMs)
        : await createSandbox(caller.env, claim, claimId, timeoutMs);
    } catch (error) {
      const failed = await startOutcome(caller.env, claim, error);
      // Where this is lost too, the claim expires, and reconciliation finds out.
      await contexts.fail(key, claimId, failed, "start_failed").catch(() => {});
      throw sandboxError(error);
    }
    if (!sandbox) {
      await contexts.fail(key, claimId, "failed", "start_failed").catch(() => {});
      return undefined;
    }
    const { sandboxId } = sandbox;
    const facts = await findSandbox(caller.env, sandboxId).catch(() => undefined);
    // When this gives no answer the sandbox goes on: killed, nobody would know what it ran. Reconciliation ends it.
    const answer = await contexts
      .confirm(key, claimId, { ...facts, sandboxId }, { enforce: caller.env.enforceE2bQuotas })
      .catch(unanswered("The database does not answer; the sandbox is ended and booked later."));
    if (answer.outcome === "ready" && !isShort(answer)) {
      return toLive(answer, sandbox, claim);
    }
    if (answer.outcome === "refused") {
      await giveUp(caller.env, contexts, claim, sandboxId, facts);
      await refuse(caller, { ...answer, started_at: null });
    }
    if (answer.outcome === "gone") await killNobodys(caller.env, contexts, claim, sandboxId, facts);
    return undefined;
  });
}

/** Whether E2B ends it before somebody's use of it: then it is asked for once more. */
function isShort({ expires_at, in_use_until }: ContextClaim): boolean {
  return Date.parse(expires_at ?? "") < Date.parse(in_use_until ?? "");
}

/** What a start that failed leaves behind; unknown: reconciliation, or whoever resumes it next, finds out. */
async function startOutcome(
  env: Env,
  claim: ContextClaim,
  error: unknown,
): Promise<"failed" | "paused" | "unknown"> {
  if (!claim.sandbox_id) return isE2bRefusal(error) ? "failed" : "unknown";
  const facts = await findSandbox(env, claim.sandbox_id).catch(() => undefined);
  return facts?.state === "paused" ? "paused" : "unknown";
}

/** A sandbox that is larger than there is room for: ended, or paused where it has what its user left in it. */
async function giveUp(
  env: Env,
  contexts: Contexts,
  claim: ContextClaim,
  sandboxId: string,
  facts: ListedSandbox | undefined,
): Promise<void> {
  const isPaused = claim.sandbox_id !== null && (await pauseSandbox(env, sandboxId));
  if (!isPaused) await killSandbox(env, sandboxId);
  await contexts.end(claimKey(claim), isPaused ? "paused" : "failed", "too_large", {
    startedAt: facts?.startedAt,
    seenAt: performance.now(),
  });
}

/** A sandbox that was started, or resumed, for a claim that is no more. */
async function killNobodys(
  env: Env,
  contexts: Contexts,
  claim: ContextClaim,
  sandboxId: string,
  facts: ListedSandbox | undefined,
): Promise<void> {
  await killSandbox(env, sandboxId);
  const key = claimKey(claim);
  if (!claim.sandbox_id) {
    const seenAt = performance.now();
    await contexts.end(key, "failed", "claim_lost", { startedAt: facts?.startedAt, seenAt });
  } else if (facts) {
    await contexts.bookStray(key.tenantId, { ...facts, contextId: key.contextId }, null);
  }
}
