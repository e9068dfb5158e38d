// Makes E2B and the database agree: nothing runs that nobody pays for, and nothing is paid for that does not run.
//
// Safe beside itself, beside traffic, and after a crash at any point: whoever kills or pauses a sandbox books it,
// a context books its interval once, a stray is booked up to a time that only moves forward.
import { z } from "zod";
import type { Gate } from "../_shared/gate/gate.ts";
import type { Env } from "../_shared/runtime/env.ts";
import { describeError, log, messageOf } from "../_shared/runtime/log.ts";
import { type Context, type ContextKey, Contexts } from "../_shared/sandbox/contexts.ts";
import {
  findSandbox,
  killSandbox,
  type ListedSandbox,
  listSandboxes,
  pauseSandbox,
} from "../_shared/sandbox/metered_sandbox.ts";
import { atStage, type Stage } from "../_shared/sandbox/stage.ts";

/** What became of them, in numbers. */
export interface Reconciled {
  /** Sandboxes that E2B has, and contexts that are open. */
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
  /** Contexts that were paused, because they were idle. */
  paused: number;
  /** Contexts whose sandbox was never started: given back, or booked at the estimate. */
  resolved: number;
  /** What could not be done now, and is left to the next run. */
  failed: number;
}

/** A thing that failed, as spend.report_problems takes it. */
type Problem = {
  subject: string;
  message: string;
  details: Record<string, string>;
};

/** Things that are done at a time. */
const PARALLEL = 8;

export async function reconcile(env: Env, gate: Gate): Promise<Reconciled> {
  const reconciliation = new Reconciliation(env, new Contexts(gate));
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
    paused: 0,
    resolved: 0,
    failed: 0,
  };

  readonly problems: Problem[] = [];

  /** Before the contexts were read: what had run out by then, nobody can have put off since. */
  #now = new Date();

  constructor(
    readonly env: Env,
    readonly contexts: Contexts,
  ) {}

  async run(): Promise<Reconciled> {
    // In this order: a sandbox that is listed had its context before.
    const listed = await listSandboxes(this.env);
    this.#now = new Date();
    const open = await this.contexts.open();
    this.counts.listed = listed.length;
    this.counts.open = open.length;

    const strays = new Map(listed.map((sandbox) => [sandbox.sandboxId, sandbox]));
    const pairs = open.map((context) => {
      const sandbox = context.sandbox_id
        ? strays.get(context.sandbox_id)
        : listed.find(({ contextId }) => contextId === context.id);
      if (sandbox) strays.delete(sandbox.sandboxId);
      return { context, sandbox };
    });
    await this.#each(
      pairs,
      ({ context }) => ({ contextId: context.id, tenantId: context.tenant_id }),
      ({ context, sandbox }) => this.#context(context, sandbox),
    );
    await this.#each(
      [...strays.values()],
      ({ sandboxId }) => ({ sandboxId }),
      (sandbox) => this.#stray(sandbox),
    );
    const { listed: _, open: __, ...changes } = this.counts;
    if (Object.values(changes).some((count) => count > 0)) {
      log("info", "reconciled", { ...this.counts });
    }
    return this.counts;
  }

  /** Does the work for each; what fails does not keep the others. */
  async #each<T>(
    items: T[],
    nameOf: (item: T) => Record<string, string>,
    work: (item: T) => Promise<void>,
  ): Promise<void> {
    const left = [...items];
    const worker = async () => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) {
        try {
          await work(item);
        } catch (error) {
          this.#failed("reconcile_failed", nameOf(item), error);
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
  }

  #failed(event: string, details: Record<string, string>, error: unknown): void {
    const message = messageOf(error);
    this.counts.failed++;
    log("error", event, { ...details, ...describeError(error) });
    const subject = details.contextId ?? details.sandboxId ?? "job";
    this.problems.push({ subject, message, details });
  }

  #context(context: Context, sandbox: ListedSandbox | undefined): Promise<void> {
    switch (context.status) {
      case "running":
        return sandbox ? this.#running(context, sandbox) : this.#unlisted(context);
      case "paused":
        return sandbox ? this.#paused(context, sandbox) : this.#unlisted(context);
      default:
        return this.#claimed(context, sandbox);
    }
  }

  async #running(context: Context, sandbox: ListedSandbox): Promise<void> {
    if (sandbox.state === "paused") {
      await this.#pausedBefore(context);
    } else if (isPast(context.expires_at, this.#now)) {
      const killed = await this.#kill(context, sandbox.sandboxId);
      await this.#end(context, "terminated", "timed_out", { endedAt: killed ? new Date() : null });
      this.counts.expired++;
    } else if (this.#isIdle(context)) {
      await this.#pause(context, sandbox.sandboxId);
    }
  }

  /** Whoever paused it died before it was booked; unless it was resumed between the list and the contexts. */
  async #pausedBefore(context: Context): Promise<void> {
    const sandbox = await findSandbox(this.env, context.sandbox_id as string);
    if (sandbox?.state !== "paused") return;
    await this.#end(context, "paused", "idle", { endedAt: earlier(sandbox.endAt, this.#now) });
    this.counts.paused++;
  }

  #isIdle(context: Context): boolean {
    const idleMs = this.env.sandboxIdleSeconds * 1000;
    const usedAt = [context.in_use_until, context.started_at].map((at) => Date.parse(at ?? ""));
    return Math.max(...usedAt.filter((at) => !Number.isNaN(at))) + idleMs <= Date.now();
  }

  async #pause(context: Context, sandboxId: string): Promise<void> {
    if (!(await this.contexts.claimPause(keyOf(context), this.env.sandboxIdleSeconds))) return;
    const isThere = await this.#at("pause", context, () => pauseSandbox(this.env, sandboxId));
    if (!isThere) return this.#lost(context);
    await this.#end(context, "paused", "idle", { endedAt: new Date() });
    this.counts.paused++;
  }

  /** A context that is thought alive, and was not in the list: asked for by its id, to be sure. */
  async #unlisted(context: Context): Promise<void> {
    const isThere = await findSandbox(this.env, context.sandbox_id as string);
    if (!isThere) await this.#lost(context);
  }

  async #lost(context: Context): Promise<void> {
    const isOver = isPast(context.expires_at, new Date());
    await this.#end(context, "terminated", isOver ? "timed_out" : "lost", {});
    this.counts[isOver ? "expired" : "lost"]++;
  }

  /** A paused context whose sandbox runs is paused again; what it ran in between is booked. */
  async #paused(context: Context, listed: ListedSandbox): Promise<void> {
    if (listed.state === "paused") return;
    const sandbox = await findSandbox(this.env, listed.sandboxId);
    if (sandbox?.state !== "running") return;
    // Resuming claims first and starts then: one that is paused still, now, is being resumed by nobody.
    const still = (await this.contexts.open()).find(({ id }) => id === context.id);
    if (still?.status !== "paused" || still.paused_at !== context.paused_at) return;
    await this.#book(sandbox, context.tenant_id, new Date());
    await this.#at("pause", context, () => pauseSandbox(this.env, sandbox.sandboxId));
    await this.#book(sandbox, context.tenant_id, new Date());
    this.counts.strays++;
  }

  /** A context that is being started or resumed, or of which nobody knows whether it was. */
  async #claimed(context: Context, sandbox: ListedSandbox | undefined): Promise<void> {
    if (!isPast(context.claim_expires_at, this.#now)) return;
    if (sandbox === undefined) {
      // The list may have changed while it was read, page by page: once more, this one alone.
      const listedAt = new Date();
      const [late] = await listSandboxes(this.env, context.id);
      if (late) return this.#claimed(context, late);
      if (await this.contexts.resolve(keyOf(context), listedAt)) this.counts.resolved++;
      return;
    }
    if (context.sandbox_id === null || context.status === "failed") {
      await this.#kill(context, sandbox.sandboxId);
      await this.#end(context, "failed", "claim_expired", {
        startedAt: sandbox.startedAt,
        endedAt: new Date(),
      });
    } else if (sandbox.state === "running") {
      await this.#at("pause", context, () => pauseSandbox(this.env, sandbox.sandboxId));
      await this.#end(context, "paused", "claim_expired", {
        startedAt: sandbox.startedAt,
        endedAt: new Date(),
      });
    } else {
      await this.contexts.fail(keyOf(context), context.claim_id, "paused", "claim_expired");
    }
    this.counts.orphans++;
  }

  async #stray(listed: ListedSandbox): Promise<void> {
    const sandbox = await findSandbox(this.env, listed.sandboxId);
    if (!sandbox) return;
    const { tenantId, sandboxId } = sandbox;
    const isRunning = sandbox.state === "running";
    // Before it is killed: a crash after that would leave nothing to find it by.
    const booked = await this.#bookOrLog(sandbox, tenantId, isRunning ? new Date() : sandbox.endAt);
    const killed = await atStage("terminate", { tenantId, sandboxId }, () =>
      killSandbox(this.env, sandboxId),
    );
    if (killed && isRunning && booked) await this.#book(sandbox, tenantId, new Date());
    this.counts.strays++;
  }

  /** A stray of a tenant that is not there any more is killed all the same. */
  async #bookOrLog(sandbox: ListedSandbox, tenantId: string | undefined, until: Date) {
    try {
      await this.#book(sandbox, tenantId, until);
      return true;
    } catch (error) {
      this.#failed("stray_not_booked", { sandboxId: sandbox.sandboxId }, error);
      return false;
    }
  }

  #book(sandbox: ListedSandbox, tenantId: string | undefined, until: Date): Promise<number> {
    return atStage("settle", { tenantId, sandboxId: sandbox.sandboxId }, () => {
      if (!tenantId) throw new Error("a sandbox of this project names its tenant");
      return this.contexts.bookStray(tenantId, sandbox, until);
    });
  }

  #kill(context: Context, sandboxId: string): Promise<boolean> {
    return this.#at("terminate", context, () => killSandbox(this.env, sandboxId));
  }

  #end(
    context: Context,
    status: "paused" | "terminated" | "failed",
    reason: string,
    times: { startedAt?: Date; endedAt?: Date | null },
  ): Promise<unknown> {
    return this.#at("settle", context, () =>
      this.contexts.end(keyOf(context), status, reason, times),
    );
  }

  #at<T>(stage: Stage, context: Context, work: () => Promise<T>): Promise<T> {
    return atStage(stage, { tenantId: context.tenant_id, contextId: context.id }, work);
  }
}

function keyOf(context: Context): ContextKey {
  return { tenantId: context.tenant_id, contextId: context.id };
}

function isPast(time: string | null, now: Date): boolean {
  return time !== null && Date.parse(time) <= now.getTime();
}

function earlier(a: Date, b: Date): Date {
  return a < b ? a : b;
}
