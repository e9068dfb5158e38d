// Sandboxes that hold nothing.
import type { Context } from "../contexts.ts";
import { findSandbox, isOurs, killSandbox, pauseSandbox } from "../e2b.ts";
import type { ListedSandbox } from "../facts.ts";
import { atStage } from "../stage.ts";
import type { Reconciliation } from "./reconciliation.ts";

/** A sandbox that runs, and holds nothing: it is paused again where its context is paused, else it ends. */
export async function reconcileUnowned(
  job: Reconciliation,
  listed: ListedSandbox,
  owner: Context | undefined,
): Promise<void> {
  if (owner?.status !== "paused" || owner.sandbox_id !== listed.sandboxId) {
    return endStray(job, listed);
  }
  const sandbox = await findSandbox(job.env, listed.sandboxId);
  if (sandbox?.state !== "running" || !isOurs(job.env, sandbox)) return;
  // Resuming claims first and starts then: one that is paused still, now, is being resumed by nobody.
  const still = (await job.contexts.of([sandbox])).get(owner.id);
  if (still?.status !== "paused" || still.paused_at !== owner.paused_at) return;
  await book(job, sandbox, owner.tenant_id, null);
  await job.at("pause", owner, () => pauseSandbox(job.env, sandbox.sandboxId));
  await book(job, sandbox, owner.tenant_id, null);
  job.counts.strays++;
}

export async function endStray(job: Reconciliation, listed: ListedSandbox): Promise<void> {
  const sandbox = await findSandbox(job.env, listed.sandboxId);
  // A list is no proof: what does not say itself that it is ours is somebody else's.
  if (!sandbox || !isOurs(job.env, sandbox)) return;
  const { tenantId, sandboxId } = sandbox;
  const isRunning = sandbox.state !== "paused";
  // Before it is killed: a crash after that would leave nothing to find it by.
  const booked = await bookOrLog(job, sandbox, tenantId, isRunning ? null : sandbox.endAt);
  let wasGone = false;
  try {
    const killed = await atStage("terminate", { tenantId, sandboxId }, () =>
      killSandbox(job.env, sandboxId),
    );
    wasGone = !killed;
  } finally {
    // Also where the kill's answer was lost: it ran until now, or runs on.
    if (!wasGone && isRunning && booked) await book(job, sandbox, tenantId, null);
  }
  job.counts.strays++;
}

/** A stray of a tenant that is not there any more is killed all the same. */
async function bookOrLog(
  job: Reconciliation,
  sandbox: ListedSandbox,
  tenantId: string | undefined,
  until: Date | null,
) {
  try {
    await book(job, sandbox, tenantId, until);
    return true;
  } catch (error) {
    job.fail("stray_not_booked", { sandboxId: sandbox.sandboxId }, error);
    return false;
  }
}

function book(
  job: Reconciliation,
  sandbox: ListedSandbox,
  tenantId: string | undefined,
  until: Date | null,
): Promise<number> {
  return atStage("settle", { tenantId, sandboxId: sandbox.sandboxId }, () => {
    if (!tenantId) throw new Error("a sandbox of this project names its tenant");
    return job.contexts.bookStray(tenantId, sandbox, until);
  });
}
