// One run of the reconciliation: what it knows, what it counts, and what each of its parts does alike.
import type { Gate } from "../../gate/gate.ts";
import type { Env } from "../../runtime/env.ts";
import { describeError, log, messageOf } from "../../runtime/log.ts";
import { type Context, Contexts, contextKey, type IntervalEnd } from "../contexts.ts";
import { isStillThere } from "../e2b.ts";
import { atStage, type Stage } from "../stage.ts";

/** What became of the sandboxes, in numbers. */
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
export type Problem = {
  subject: string;
  message: string;
  details: Record<string, string>;
};

/** Things that are done at a time. */
const PARALLEL = 8;
/** Milliseconds after which nothing more is begun: a function has 150 s, and the database's jobs had 30 of them. */
const ENOUGH_MS = 60_000;

/** One run, from its beginning to its end: its parts add to `counts` and `problems`. */
export class Reconciliation {
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
  readonly untilMs = performance.now() + ENOUGH_MS;

  /** By the database's clock, before the contexts were read: what had run out by then, nobody can have put off since. */
  now = new Date();

  constructor(
    readonly env: Env,
    readonly gate: Gate,
  ) {
    this.contexts = new Contexts(gate);
  }

  /** Does the work for each; what fails does not keep the others. */
  async each<T>(
    items: T[],
    nameOf: (item: T) => Record<string, string>,
    work: (item: T) => Promise<void>,
  ): Promise<void> {
    const left = [...items];
    const worker = async () => {
      while (performance.now() < this.untilMs) {
        const item = left.shift();
        if (item === undefined) return;
        try {
          await work(item);
        } catch (error) {
          this.fail("reconcile_failed", nameOf(item), error);
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    this.counts.left += left.length;
  }

  fail(event: string, details: Record<string, string>, error: unknown): void {
    const message = messageOf(error);
    this.counts.failed++;
    log("error", event, { ...details, ...describeError(error) });
    const subject = details.contextId ?? details.sandboxId ?? "job";
    this.problems.push({ subject, message, details });
  }

  async isGone(context: Context): Promise<boolean> {
    return !(await isStillThere(this.env, context.sandbox_id as string, context.id));
  }

  async endLost(context: Context): Promise<void> {
    const isOver = context.status === "running" && isPast(toldEnd(context), this.now);
    const reason = isOver ? "timed_out" : "lost";
    await this.end(context, "terminated", reason, { revision: context.revision });
    this.counts[isOver ? "expired" : "lost"]++;
  }

  end(
    context: Context,
    status: "paused" | "terminated" | "failed",
    reason: string,
    end: IntervalEnd,
  ): Promise<unknown> {
    return this.at("settle", context, () =>
      this.contexts.end(contextKey(context), status, reason, end),
    );
  }

  at<T>(stage: Stage, context: Context, work: () => Promise<T>): Promise<T> {
    return atStage(stage, { tenantId: context.tenant_id, contextId: context.id }, work);
  }
}

export function nameOf(context: Context): Record<string, string> {
  return { contextId: context.id, tenantId: context.tenant_id };
}

/** When E2B ends it by itself, as far as it was told. */
export function toldEnd({ extension_is_open, held_until, expires_at }: Context): string | null {
  return extension_is_open ? held_until : expires_at;
}

export function timeOf(time: string | null): number | undefined {
  return time === null ? undefined : Date.parse(time);
}

export function isPast(time: string | null, now: Date): boolean {
  return time !== null && Date.parse(time) <= now.getTime();
}
