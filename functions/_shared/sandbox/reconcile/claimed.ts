// Contexts that are being started or resumed, or of which nobody knows whether they were.
import { type Context, contextKey } from "../contexts.ts";
import { findSandbox, killSandbox, listSandboxes, pauseSandbox } from "../e2b.ts";
import type { ListedSandbox } from "../facts.ts";
import { isPast, type Reconciliation } from "./reconciliation.ts";

/** A context that is being started or resumed, or of which nobody knows whether it was. */
export async function reconcileClaimed(
  job: Reconciliation,
  context: Context,
  listed: ListedSandbox | undefined,
): Promise<void> {
  if (!isPast(context.claim_expires_at, job.now)) return;
  const listedAt = job.now;
  const sandbox = listed ?? (await claimedSandbox(job, context));
  if (sandbox === undefined) {
    if (await job.contexts.resolve(contextKey(context), listedAt)) job.counts.resolved++;
    return;
  }
  const { startedAt } = sandbox;
  if (context.sandbox_id === null || context.status === "failed") {
    await job.at("terminate", context, () => killSandbox(job.env, sandbox.sandboxId));
    const seenAt = performance.now();
    await job.end(context, "failed", "claim_expired", { startedAt, seenAt });
  } else if (sandbox.state !== "paused") {
    await job.at("pause", context, () => pauseSandbox(job.env, sandbox.sandboxId));
    const seenAt = performance.now();
    await job.end(context, "paused", "claim_expired", { startedAt, seenAt });
  } else {
    await job.contexts.fail(contextKey(context), context.claim_id, "paused", "claim_expired");
  }
  job.counts.orphans++;
}

/** The list may have changed while it was read, page by page, and has no paused ones: once more, this one alone. */
async function claimedSandbox(
  job: Reconciliation,
  context: Context,
): Promise<ListedSandbox | undefined> {
  if (context.sandbox_id) {
    const sandbox = await findSandbox(job.env, context.sandbox_id);
    if (!sandbox && !(await job.isGone(context))) throw new Error("E2B contradicts itself");
    return sandbox;
  }
  const { sandboxes, isComplete } = await listSandboxes(job.env, { contextId: context.id });
  if (!isComplete && sandboxes.length === 0) throw new Error("E2B's list did not end");
  return sandboxes[0];
}
