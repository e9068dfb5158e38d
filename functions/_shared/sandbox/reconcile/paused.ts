// Paused sandboxes, of which there may be any number: some are looked at in each run, in turn.
import type { Context } from "../contexts.ts";
import { findSandbox, isOurs, killSandbox, listSandboxes } from "../e2b.ts";
import type { ListedSandbox } from "../facts.ts";
import { nameOf, type Reconciliation } from "./reconciliation.ts";
import { endStray } from "./strays.ts";

/** Paused contexts that are looked for at E2B in one run, and that are ended. */
const PAUSED_LOOKS = 20;
const PAUSED_ENDS = 100;
/** Pages of paused sandboxes that are read in one run. */
const PAUSED_PAGES = 2;

/** Nothing lives for ever. In the database first: what has ended there nobody resumes. */
export async function endLongPaused(job: Reconciliation): Promise<void> {
  const ended = await job.contexts.endLongPaused(job.env.sandboxMaxPausedSeconds, PAUSED_ENDS);
  job.counts.endedPaused += ended.length;
  await job.each(ended, nameOf, (context) => killNamed(job, context, context.sandbox_id as string));
}

/** Paused contexts whose sandbox E2B has no more end, at no cost. */
export async function lookAtPaused(job: Reconciliation): Promise<void> {
  const paused = await job.contexts.lookAtPaused(PAUSED_LOOKS);
  await job.each(paused, nameOf, async (context) => {
    if (await job.isGone(context)) await job.endLost(context);
  });
}

/** Paused sandboxes that no context has: some pages of E2B's list in each run, and from the beginning again. */
export async function sweepPaused(job: Reconciliation): Promise<void> {
  const { project } = job.env;
  const fromToken = await job.contexts.sweepFrom(project);
  const page = await listSandboxes(job.env, {
    states: ["paused"],
    maxPages: PAUSED_PAGES,
    fromToken,
  }).catch((error) => {
    // A token that E2B does not take any more: from the beginning, next time.
    if (fromToken === null) throw error;
    return { sandboxes: [], nextToken: null };
  });
  const owners = await job.contexts.of(page.sandboxes);
  await job.each(
    page.sandboxes,
    ({ sandboxId }) => ({ sandboxId }),
    async (sandbox) => {
      const owner = owners.get(sandbox.contextId ?? "");
      if (!owner || !isLiveOf(owner, sandbox)) await endStray(job, sandbox);
    },
  );
  if (page.nextToken !== fromToken) await job.contexts.sweepTo(project, page.nextToken);
}

/** Kills the sandbox of a context that has ended, when it is that. */
async function killNamed(job: Reconciliation, context: Context, sandboxId: string): Promise<void> {
  const sandbox = await findSandbox(job.env, sandboxId);
  if (!sandbox || !isOurs(job.env, sandbox)) return;
  await job.at("terminate", context, () => killSandbox(job.env, sandboxId));
}

/** Whether a context that lives has this sandbox, or may be about to. */
function isLiveOf(context: Context, { sandboxId }: ListedSandbox): boolean {
  const { status, sandbox_id, booked_at } = context;
  const isOpen = status !== "terminated" && (status !== "failed" || booked_at === null);
  return isOpen && (sandbox_id === null || sandbox_id === sandboxId);
}
