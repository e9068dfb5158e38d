// Makes E2B and the database agree: nothing runs that nobody pays for, and nothing is paid for that does not run.
//
// Safe beside itself, beside traffic, and after a crash at any point: whoever kills or pauses a sandbox books it,
// a context books its interval once, a stray is booked up to a time that only moves forward. Acts on a sandbox only
// when that says itself that it is this project's. Its work grows with what runs and what changed: of paused
// sandboxes, of which there may be any number, it looks at a few in each run, in turn.
import { z } from "zod";
import type { Gate } from "../_shared/gate/gate.ts";
import type { Env } from "../_shared/runtime/env.ts";
import { describeError, log, messageOf } from "../_shared/runtime/log.ts";
import type { IntervalEnd } from "../_shared/sandbox/contexts.ts";
import { type Context, type ContextKey, Contexts } from "../_shared/sandbox/contexts.ts";
import type { ListedSandbox } from "../_shared/sandbox/facts.ts";
import {
  confirmEnd,
  findSandbox,
  isOurs,
  isStillThere,
  killSandbox,
  listSandboxes,
  pauseSandbox,
} from "../_shared/sandbox/metered_sandbox.ts";
import { atStage, type Stage } from "../_shared/sandbox/stage.ts";

/** What became of them, in numbers. */
export interface Reconciled {
  /** Sandboxes that run at E2B, and contexts that hold money. */
  listed: number;
  open: number;
  /** Sandboxes that no context had: killed, and booked. */
  strays: number;
  /** Contexts whose creator died: their sandbox was killed, and booked. */
  orphans: number;
  /** Contexts whose sandbox is gone: booked to its end. */
  lost: number;
  /** Contexts whose time-out had passed. */
  expired: number;
  /** Sandboxes that E2B was to end too early: put off. */
  putOff: number;
  /** Contexts that were paused, because they were idle. */
  paused: number;
  /** Contexts that had been paused for too long: ended, and their sandbox killed. */
  endedPaused: number;
  /** Contexts whose sandbox was never started: given back, or booked at the estimate. */
  resolved: number;
  /** What could not be done now, and is left to the next run. */
  failed: number;
  /** What was not come to in time, and is left to the next run. */
  left: number;
}

/** A thing that failed, as spend.report_problems takes it. */
type Problem = {
  subject: string;
  message: string;
  details: Record<string, string>;
};

/** Things that are done at a time. */
const PARALLEL = 8;
/** Milliseconds after which nothing more is begun: a function has 150 s, and the database's jobs had 30 of them. */
const ENOUGH_MS = 60_000;
/** Paused contexts that are looked for at E2B in one run, and that are ended. */
const PAUSED_LOOKS = 20;
const PAUSED_ENDS = 100;
/** Pages of paused sandboxes that are read in one run. */
const PAUSED_PAGES = 2;
/** Seconds by which E2B's word and ours may differ: it takes its time to hear of what it is told. */
const TOLERANCE_MS = 2000;

export async function reconcile(env: Env, gate: Gate): Promise<Reconciled> {
  const reconciliation = new Reconciliation(env, gate);
  try {
    return await reconciliation.run();
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

class Reconciliation {
  readonly counts: Reconciled = {
    listed: 0,
    open: 0,
    strays: 0,
    orphans: 0,
    lost: 0,
    expired: 0,
    putOff: 0,
    paused: 0,
    endedPaused: 0,
    resolved: 0,
    failed: 0,
    left: 0,
  };

  readonly problems: Problem[] = [];
  readonly contexts: Contexts;
  readonly #untilMs = performance.now() + ENOUGH_MS;

  /** By the database's clock, before the contexts were read: what had run out by then, nobody can have put off since. */
  #now = new Date();

  constructor(
    readonly env: Env,
    readonly gate: Gate,
  ) {
    this.contexts = new Contexts(gate);
  }

  async run(): Promise<Reconciled> {
    await this.#running();
    await this.#endLongPaused();
    await this.#lookAtPaused();
    await this.#sweepPaused();
    const { listed: _, open: __, ...changes } = this.counts;
    if (Object.values(changes).some((count) => count > 0)) {
      log("info", "reconciled", { ...this.counts });
    }
    return this.counts;
  }

  /** What runs at E2B, and what holds money. */
  async #running(): Promise<void> {
    // In this order: a sandbox that is listed had its context before.
    const { sandboxes: listed, isComplete } = await listSandboxes(this.env, {
      states: ["running"],
      untilMs: this.#untilMs,
    });
    if (!isComplete) {
      const message = "E2B's list of running sandboxes did not end.";
      this.problems.push({ subject: "list", message, details: {} });
    }
    this.#now = await this.contexts.databaseTime();
    const open = await this.contexts.open();
    this.counts.listed = listed.length;
    this.counts.open = open.length;

    const bySandbox = new Map(listed.map((sandbox) => [sandbox.sandboxId, sandbox]));
    const byContext = new Map(listed.map((sandbox) => [sandbox.contextId, sandbox]));
    const pairs = open.map((context) => ({
      context,
      sandbox: context.sandbox_id ? bySandbox.get(context.sandbox_id) : byContext.get(context.id),
    }));
    for (const { sandbox } of pairs) if (sandbox) bySandbox.delete(sandbox.sandboxId);
    const owners = await this.contexts.of([...bySandbox.values()]);
    await this.#each(pairs, nameOf, ({ context, sandbox }) => this.#context(context, sandbox));
    await this.#each(
      [...bySandbox.values()],
      ({ sandboxId }) => ({ sandboxId }),
      (sandbox) => this.#unowned(sandbox, owners.get(sandbox.contextId ?? "")),
    );
  }

  /** Nothing lives for ever. In the database first: what has ended there nobody resumes. */
  async #endLongPaused(): Promise<void> {
    const ended = await this.contexts.endLongPaused(this.env.sandboxMaxPausedSeconds, PAUSED_ENDS);
    this.counts.endedPaused += ended.length;
    await this.#each(
      ended.map((context) => ({ context })),
      nameOf,
      ({ context }) => this.#killNamed(context, context.sandbox_id as string),
    );
  }

  /** Paused contexts whose sandbox E2B has no more end, at no cost. */
  async #lookAtPaused(): Promise<void> {
    const paused = await this.contexts.lookAtPaused(PAUSED_LOOKS);
    await this.#each(
      paused.map((context) => ({ context })),
      nameOf,
      async ({ context }) => {
        if (await this.#isGone(context)) await this.#lost(context);
      },
    );
  }

  /** Paused sandboxes that no context has: some pages of E2B's list in each run, and from the beginning again. */
  async #sweepPaused(): Promise<void> {
    const { project } = this.env;
    const fromToken = await this.contexts.sweepFrom(project);
    const page = await listSandboxes(this.env, {
      states: ["paused"],
      maxPages: PAUSED_PAGES,
      fromToken,
    }).catch((error) => {
      // A token that E2B does not take any more: from the beginning, next time.
      if (fromToken === null) throw error;
      return { sandboxes: [], nextToken: null };
    });
    const owners = await this.contexts.of(page.sandboxes);
    await this.#each(
      page.sandboxes,
      ({ sandboxId }) => ({ sandboxId }),
      async (sandbox) => {
        const owner = owners.get(sandbox.contextId ?? "");
        if (!owner || !isLiveOf(owner, sandbox)) await this.#stray(sandbox);
      },
    );
    if (page.nextToken !== fromToken) await this.contexts.sweepTo(project, page.nextToken);
  }

  /** Does the work for each; what fails does not keep the others. */
  async #each<T>(
    items: T[],
    nameOf: (item: T) => Record<string, string>,
    work: (item: T) => Promise<void>,
  ): Promise<void> {
    const left = [...items];
    const worker = async () => {
      while (performance.now() < this.#untilMs) {
        const item = left.shift();
        if (item === undefined) return;
        try {
          await work(item);
        } catch (error) {
          this.#failed("reconcile_failed", nameOf(item), error);
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    this.counts.left += left.length;
  }

  #failed(event: string, details: Record<string, string>, error: unknown): void {
    const message = messageOf(error);
    this.counts.failed++;
    log("error", event, { ...details, ...describeError(error) });
    const subject = details.contextId ?? details.sandboxId ?? "job";
    this.problems.push({ subject, message, details });
  }

  #context(context: Context, sandbox: ListedSandbox | undefined): Promise<void> {
    if (context.status !== "running") return this.#claimed(context, sandbox);
    return sandbox ? this.#runs(context, sandbox) : this.#unlisted(context);
  }

  async #runs(context: Context, sandbox: ListedSandbox): Promise<void> {
    const isUsed = !isPast(context.in_use_until, this.#now);
    if (!isUsed && isPast(toldEnd(context), this.#now)) {
      const killed = await this.#at("terminate", context, () =>
        killSandbox(this.env, sandbox.sandboxId),
      );
      await this.#end(
        context,
        "terminated",
        "timed_out",
        killed ? { seenAt: performance.now() } : {},
      );
      this.counts.expired++;
    } else if (this.#isToldOtherwise(context, sandbox)) {
      await this.#at("extend", context, async () => {
        const { env, gate } = this;
        const key = keyOf(context);
        if (await confirmEnd({ env, gate }, key, sandbox.sandboxId, context)) this.counts.putOff++;
      });
    } else if (this.#isIdle(context)) {
      await this.#pause(context, sandbox.sandboxId);
    }
  }

  /** E2B ends it earlier than the database thinks, or before a run that was admitted may end. */
  #isToldOtherwise(context: Context, { endAt }: ListedSandbox): boolean {
    if (endAt === null) return false;
    const end = endAt.getTime() - context.clock_skew_seconds * 1000 + TOLERANCE_MS;
    const { expires_at, in_use_until, held_until } = context;
    const used = Math.min(timeOf(in_use_until) ?? 0, timeOf(held_until) ?? 0);
    return context.extension_is_open || end < Math.max(timeOf(expires_at) ?? 0, used);
  }

  #isIdle(context: Context): boolean {
    const idleMs = this.env.sandboxIdleSeconds * 1000;
    const usedAt = Math.max(timeOf(context.in_use_until) ?? 0, timeOf(context.started_at) ?? 0);
    return usedAt + idleMs <= this.#now.getTime();
  }

  async #pause(context: Context, sandboxId: string): Promise<void> {
    // Runs wait for as long as the pause may take, and then some: E2B may be at it when we have given up.
    const claimSeconds = Math.min(Math.ceil(this.env.e2bTimeoutMs / 1000) + 10, 600);
    const { sandboxIdleSeconds } = this.env;
    if (!(await this.contexts.claimPause(keyOf(context), sandboxIdleSeconds, claimSeconds))) return;
    const isThere = await this.#at("pause", context, () => pauseSandbox(this.env, sandboxId));
    if (!isThere) return this.#unlisted(context);
    await this.#end(context, "paused", "idle", { seenAt: performance.now() });
    this.counts.paused++;
  }

  /** A context that is thought to run, and was not in the list: asked for by its id, to be sure. */
  async #unlisted(context: Context): Promise<void> {
    const sandbox = await findSandbox(this.env, context.sandbox_id as string);
    if (sandbox?.state === "paused") {
      // Whoever paused it died before it was booked; unless it was resumed since.
      const { revision } = context;
      await this.#end(context, "paused", "idle", { endedAt: sandbox.endAt, revision });
      this.counts.paused++;
    } else if (!sandbox && (await this.#isGone(context))) {
      await this.#lost(context);
    }
  }

  async #isGone(context: Context): Promise<boolean> {
    return !(await isStillThere(this.env, context.sandbox_id as string, context.id));
  }

  async #lost(context: Context): Promise<void> {
    const isOver = context.status === "running" && isPast(toldEnd(context), this.#now);
    const reason = isOver ? "timed_out" : "lost";
    await this.#end(context, "terminated", reason, { revision: context.revision });
    this.counts[isOver ? "expired" : "lost"]++;
  }

  /** A sandbox that runs, and holds nothing: it is paused again where its context is paused, else it ends. */
  async #unowned(listed: ListedSandbox, owner: Context | undefined): Promise<void> {
    if (owner?.status !== "paused" || owner.sandbox_id !== listed.sandboxId) {
      return this.#stray(listed);
    }
    const sandbox = await findSandbox(this.env, listed.sandboxId);
    if (sandbox?.state !== "running" || !isOurs(this.env, sandbox)) return;
    // Resuming claims first and starts then: one that is paused still, now, is being resumed by nobody.
    const still = (await this.contexts.of([sandbox])).get(owner.id);
    if (still?.status !== "paused" || still.paused_at !== owner.paused_at) return;
    await this.#book(sandbox, owner.tenant_id, null);
    await this.#at("pause", owner, () => pauseSandbox(this.env, sandbox.sandboxId));
    await this.#book(sandbox, owner.tenant_id, null);
    this.counts.strays++;
  }

  /** A context that is being started or resumed, or of which nobody knows whether it was. */
  async #claimed(context: Context, listed: ListedSandbox | undefined): Promise<void> {
    if (!isPast(context.claim_expires_at, this.#now)) return;
    const listedAt = this.#now;
    const sandbox = listed ?? (await this.#claimedSandbox(context));
    if (sandbox === undefined) {
      if (await this.contexts.resolve(keyOf(context), listedAt)) this.counts.resolved++;
      return;
    }
    const { startedAt } = sandbox;
    if (context.sandbox_id === null || context.status === "failed") {
      await this.#at("terminate", context, () => killSandbox(this.env, sandbox.sandboxId));
      const seenAt = performance.now();
      await this.#end(context, "failed", "claim_expired", { startedAt, seenAt });
    } else if (sandbox.state !== "paused") {
      await this.#at("pause", context, () => pauseSandbox(this.env, sandbox.sandboxId));
      const seenAt = performance.now();
      await this.#end(context, "paused", "claim_expired", { startedAt, seenAt });
    } else {
      await this.contexts.fail(keyOf(context), context.claim_id, "paused", "claim_expired");
    }
    this.counts.orphans++;
  }

  /** The list may have changed while it was read, page by page, and has no paused ones: once more, this one alone. */
  async #claimedSandbox(context: Context): Promise<ListedSandbox | undefined> {
    if (context.sandbox_id) {
      const sandbox = await findSandbox(this.env, context.sandbox_id);
      if (!sandbox && !(await this.#isGone(context))) throw new Error("E2B contradicts itself");
      return sandbox;
    }
    const { sandboxes, isComplete } = await listSandboxes(this.env, { contextId: context.id });
    if (!isComplete && sandboxes.length === 0) throw new Error("E2B's list did not end");
    return sandboxes[0];
  }

  async #stray(listed: ListedSandbox): Promise<void> {
    const sandbox = await findSandbox(this.env, listed.sandboxId);
    // A list is no proof: what does not say itself that it is ours is somebody else's.
    if (!sandbox || !isOurs(this.env, sandbox)) return;
    const { tenantId, sandboxId } = sandbox;
    const isRunning = sandbox.state !== "paused";
    // Before it is killed: a crash after that would leave nothing to find it by.
    const booked = await this.#bookOrLog(sandbox, tenantId, isRunning ? null : sandbox.endAt);
    let wasGone = false;
    try {
      const killed = await atStage("terminate", { tenantId, sandboxId }, () =>
        killSandbox(this.env, sandboxId),
      );
      wasGone = !killed;
    } finally {
      // Also where the kill's answer was lost: it ran until now, or runs on.
      if (!wasGone && isRunning && booked) await this.#book(sandbox, tenantId, null);
    }
    this.counts.strays++;
  }

  /** A stray of a tenant that is not there any more is killed all the same. */
  async #bookOrLog(sandbox: ListedSandbox, tenantId: string | undefined, until: Date | null) {
    try {
      await this.#book(sandbox, tenantId, until);
      return true;
    } catch (error) {
      this.#failed("stray_not_booked", { sandboxId: sandbox.sandboxId }, error);
      return false;
    }
  }

  #book(sandbox: ListedSandbox, tenantId: string | undefined, until: Date | null): Promise<number> {
    return atStage("settle", { tenantId, sandboxId: sandbox.sandboxId }, () => {
      if (!tenantId) throw new Error("a sandbox of this project names its tenant");
      return this.contexts.bookStray(tenantId, sandbox, until);
    });
  }

  /** Kills the sandbox of a context that has ended, when it is that. */
  async #killNamed(context: Context, sandboxId: string): Promise<void> {
    const sandbox = await findSandbox(this.env, sandboxId);
    if (!sandbox || !isOurs(this.env, sandbox)) return;
    await this.#at("terminate", context, () => killSandbox(this.env, sandboxId));
  }

  #end(
    context: Context,
    status: "paused" | "terminated" | "failed",
    reason: string,
    end: IntervalEnd,
  ): Promise<unknown> {
    return this.#at("settle", context, () =>
      this.contexts.end(keyOf(context), status, reason, end),
    );
  }

  #at<T>(stage: Stage, context: Context, work: () => Promise<T>): Promise<T> {
    return atStage(stage, { tenantId: context.tenant_id, contextId: context.id }, work);
  }
}

function keyOf(context: Context): ContextKey {
  return { tenantId: context.tenant_id, contextId: context.id };
}

function nameOf({ context }: { context: Context }): Record<string, string> {
  return { contextId: context.id, tenantId: context.tenant_id };
}

/** When E2B ends it by itself, as far as it was told. */
function toldEnd({ extension_is_open, held_until, expires_at }: Context): string | null {
  return extension_is_open ? held_until : expires_at;
}

/** Whether a context that lives has this sandbox, or may be about to. */
function isLiveOf(context: Context, { sandboxId }: ListedSandbox): boolean {
  const { status, sandbox_id, booked_at } = context;
  const isOpen = status !== "terminated" && (status !== "failed" || booked_at === null);
  return isOpen && (sandbox_id === null || sandbox_id === sandboxId);
}

function timeOf(time: string | null): number | undefined {
  return time === null ? undefined : Date.parse(time);
}

function isPast(time: string | null, now: Date): boolean {
  return time !== null && Date.parse(time) <= now.getTime();
}
