// Ends a sandbox for its user.
import type { Caller } from "../gate/metering.ts";
import { Contexts } from "./contexts.ts";
import { killSandbox } from "./e2b.ts";
import { atStage, attributesOf } from "./stage.ts";
import { noSandbox, sandboxBusy, unanswered } from "./stage_errors.ts";

/**
 * Kills a sandbox and books the seconds that it ran. Again, or of one that has ended: nothing happens.
 * @throws SpendgateError not_found when it is not the user's to use; sandbox_busy while it is being started;
 *   upstream_error when it could not be killed; quota_unavailable when it was, and is booked later.
 */
export async function terminateSandbox(caller: Caller, contextId: string): Promise<void> {
  const contexts = new Contexts(caller.gate);
  const context = await contexts.find(contextId, caller);
  if (!context) return noSandbox("terminate");
  if (context.status === "terminated" || context.status === "failed") return;
  // One that is being resumed is given up all the same: it is known, and whoever resumes it is told.
  const { sandbox_id: sandboxId } = context;
  if (sandboxId === null) return sandboxBusy("terminate");
  const key = { tenantId: context.tenant_id, contextId };
  const killed = await atStage("terminate", { ...attributesOf(key), sandboxId }, () =>
    killSandbox(caller.env, sandboxId),
  );
  const seenAt = killed ? performance.now() : undefined;
  await atStage("settle", { ...attributesOf(key), sandboxId }, () =>
    contexts
      .end(key, "terminated", "killed", { seenAt })
      .catch(unanswered("The sandbox has ended; what it cost is booked later.")),
  );
}
