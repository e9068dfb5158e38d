// What runs at E2B, and what holds money.
import { type Context, contextKey } from "../contexts.ts";
import { findSandbox, killSandbox, listSandboxes, pauseSandbox } from "../e2b.ts";
import { ensureEnd } from "../expiry.ts";
import type { ListedSandbox } from "../facts.ts";
import { reconcileClaimed } from "./claimed.ts";
import { isPast, nameOf, type Reconciliation, timeOf, toldEnd } from "./reconciliation.ts";
import { reconcileUnowned } from "./strays.ts";

/** Milliseconds by which E2B's word and ours may differ: it takes its time to hear of what it is told. */
const TOLERANCE_MS = 2000;

/** What runs at E2B, and what holds money. */
export async function reconcileRunning(job: Reconciliation): Promise<void> {
  // In this order: a sandbox that is listed had its context before.
  const { sandboxes: listed, isComplete } = await listSandboxes(job.env, {
    states: ["running"],
    untilMs: job.untilMs,
  });
  if (!isComplete) {
    const message = "E2B's list of running sandboxes did not end.";
    job.problems.push({ subject: "list", message, details: {} });
  }
  job.now = await job.contexts.databaseTime();
  const open = await job.contexts.open();
  job.counts.listed = listed.length;
  job.counts.open = open.length;

  const bySandbox = new Map(listed.map((sandbox) => [sandbox.sandboxId, sandbox]));
  const byContext = new Map(listed.map((sandbox) => [sandbox.contextId, sandbox]));
  const pairs = open.map((context) => ({
    context,
    sandbox: context.sandbox_id ? bySandbox.get(context.sandbox_id) : byContext.get(context.id),
  }));
  for (const { sandbox } of pairs) if (sandbox) bySandbox.delete(sandbox.sandboxId);
  const owners = await job.contexts.of([...bySandbox.values()]);
  await job.each(
    pairs,
    ({ context }) => nameOf(context),
    ({ context, sandbox }) => reconcileContext(job, context, sandbox),
  );
  await job.each(
    [...bySandbox.values()],
    ({ sandboxId }) => ({ sandboxId }),
    (sandbox) => reconcileUnowned(job, sandbox, owners.get(sandbox.contextId ?? "")),
  );
}

function reconcileContext(
  job: Reconciliation,
  context: Context,
  sandbox: ListedSandbox | undefined,
): Promise<void> {
  if (context.status !== "running") return reconcileClaimed(job, context, sandbox);
  return sandbox ? reconcileListed(job, context, sandbox) : reconcileUnlisted(job, context);
}

async function reconcileListed(
  job: Reconciliation,
  context: Context,
  sandbox: ListedSandbox,
): Promise<void> {
  const isUsed = !isPast(context.in_use_until, job.now);
  if (!isUsed && isPast(toldEnd(context), job.now)) {
    const killed = await job.at("terminate", context, () =>
      killSandbox(job.env, sandbox.sandboxId),
    );
    await job.end(context, "terminated", "timed_out", killed ? { seenAt: performance.now() } : {});
    job.counts.expired++;
  } else if (endsTooEarly(context, sandbox)) {
    await job.at("extend", context, async () => {
      const { env, gate } = job;
      const key = contextKey(context);
      if (await ensureEnd({ env, gate }, key, sandbox.sandboxId, context)) job.counts.putOff++;
    });
  } else if (isIdle(job, context)) {
    await pauseIdle(job, context, sandbox.sandboxId);
  }
}

/** E2B ends it earlier than the database thinks, or before a run that was admitted may end. */
function endsTooEarly(context: Context, { endAt }: ListedSandbox): boolean {
  if (endAt === null) return false;
  const end = endAt.getTime() - context.clock_skew_seconds * 1000 + TOLERANCE_MS;
  const { expires_at, in_use_until, held_until } = context;
  const used = Math.min(timeOf(in_use_until) ?? 0, timeOf(held_until) ?? 0);
  return context.extension_is_open || end < Math.max(timeOf(expires_at) ?? 0, used);
}

function isIdle(job: Reconciliation, context: Context): boolean {
  const idleMs = job.env.sandboxIdleSeconds * 1000;
  const usedAt = Math.max(timeOf(context.in_use_until) ?? 0, timeOf(context.started_at) ?? 0);
  return usedAt + idleMs <= job.now.getTime();
}

async function pauseIdle(job: Reconciliation, context: Context, sandboxId: string): Promise<void> {
  // Runs wait for as long as the pause may take, and then some: E2B may be at it when we have given up.
  const claimSeconds = Math.min(Math.ceil(job.env.e2bTimeoutMs / 1000) + 10, 600);
  const { sandboxIdleSeconds } = job.env;
  if (!(await job.contexts.claimPause(contextKey(context), sandboxIdleSeconds, claimSeconds)))
    return;
  const isThere = await job.at("pause", context, () => pauseSandbox(job.env, sandboxId));
  if (!isThere) return reconcileUnlisted(job, context);
  await job.end(context, "paused", "idle", { seenAt: performance.now() });
  job.counts.paused++;
}

/** A context that is thought to run, and was not in the list: asked for by its id, to be sure. */
async function reconcileUnlisted(job: Reconciliation, context: Context): Promise<void> {
  const sandbox = await findSandbox(job.env, context.sandbox_id as string);
  if (sandbox?.state === "paused") {
    // Whoever paused it died before it was booked; unless it was resumed since.
    const { revision } = context;
    await job.end(context, "paused", "idle", { endedAt: sandbox.endAt, revision });
    job.counts.paused++;
  } else if (!sandbox && (await job.isGone(context))) {
    await job.endLost(context);
  }
}
