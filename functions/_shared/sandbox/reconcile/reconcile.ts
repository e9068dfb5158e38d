// Makes E2B and the database agree: nothing runs that nobody pays for, and nothing is paid for that does not run.
//
// Safe beside itself, beside traffic, and after a crash at any point: whoever kills or pauses a sandbox books it,
// a context books its interval once, a stray is booked up to a time that only moves forward. Acts on a sandbox only
// when that says itself that it is this project's. Its work grows with what runs and what changed: of paused
// sandboxes, of which there may be any number, it looks at a few in each run, in turn.
import * as z from "zod";
import type { Gate } from "../../gate/gate.ts";
import type { Env } from "../../runtime/env.ts";
import { describeError, log, messageOf } from "../../runtime/log.ts";
import { SPANS } from "../../runtime/telemetry/names.ts";
import { inSpan } from "../../runtime/telemetry/spans.ts";
import { endLongPaused, lookAtPaused, sweepPaused } from "./paused.ts";
import { type Problem, type Reconciled, Reconciliation } from "./reconciliation.ts";
import { reconcileRunning } from "./running.ts";

export type { Reconciled } from "./reconciliation.ts";

export async function reconcile(env: Env, gate: Gate): Promise<Reconciled> {
  const reconciliation = new Reconciliation(env, gate);
  try {
    return await inSpan(SPANS.reconcile, {}, () => run(reconciliation));
  } catch (error) {
    reconciliation.problems.push({ subject: "job", message: messageOf(error), details: {} });
    throw error;
  } finally {
    await report(gate, reconciliation.problems);
  }
}

/** Puts on record what failed, and that the rest did not: spend.problems. */
async function report(gate: Gate, problems: Problem[]): Promise<void> {
  await gate
    .call("report_problems", z.number(), { job: "reconcile", problems })
    .catch((error) => log("error", "problems_not_reported", describeError(error)));
}

async function run(job: Reconciliation): Promise<Reconciled> {
  await reconcileRunning(job);
  await endLongPaused(job);
  await lookAtPaused(job);
  await sweepPaused(job);
  const { listed: _, open: __, ...changes } = job.counts;
  if (Object.values(changes).some((count) => count > 0)) {
    log("info", "reconciled", { ...job.counts });
  }
  return job.counts;
}
