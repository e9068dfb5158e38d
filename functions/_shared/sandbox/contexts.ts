// Typed doors to the SQL functions of execution contexts. What they do is told in schemas/60_sandboxes.
import * as z from "zod";
import type { AnswerSchema, Arguments, SqlFunction } from "../database/client.ts";
import { reserveAnswer } from "../gate/answers.ts";
import { type Gate, patiently } from "../gate/gate.ts";
import type { Caller } from "../gate/metering.ts";
import type { ListedSandbox, SandboxFacts } from "./facts.ts";

const contextClaim = z.object({
  outcome: z.enum(["create", "resume", "ready", "wait", "again", "refused", "gone"]),
  tenant_id: z.string().nullable(),
  context_id: z.string().nullable(),
  conversation_id: z.string().nullable(),
  path_id: z.string().nullable(),
  template: z.string().nullable(),
  sandbox_id: z.string().nullable(),
  timeout_seconds: z.number().nullable(),
  set_timeout_seconds: z.number().nullable(),
  started_at: z.string().nullable(),
  expires_at: z.string().nullable(),
  refusal: reserveAnswer.nullable(),
  in_use_until: z.string().nullable(),
  is_extended: z.boolean().nullable(),
  revision: z.number().nullable(),
  runs: z.number().nullable(),
});
export type ContextClaim = z.output<typeof contextClaim>;

const context = z.object({
  tenant_id: z.string(),
  id: z.string(),
  conversation_id: z.string(),
  path_id: z.string().nullable(),
  template: z.string(),
  vcpus: z.number(),
  memory_gib: z.number(),
  status: z.enum(["creating", "running", "paused", "terminated", "failed"]),
  sandbox_id: z.string().nullable(),
  reservation_id: z.string(),
  booked_at: z.string().nullable(),
  claim_id: z.string(),
  claim_expires_at: z.string(),
  started_at: z.string().nullable(),
  expires_at: z.string().nullable(),
  held_until: z.string().nullable(),
  extension_is_open: z.boolean(),
  revision: z.number(),
  runs: z.number(),
  clock_skew_seconds: z.number(),
  in_use_until: z.string().nullable(),
  paused_at: z.string().nullable(),
  end_reason: z.string().nullable(),
});
export type Context = z.output<typeof context>;
export type ContextStatus = Context["status"];

/** A context, by its key. */
export interface ContextKey {
  tenantId: string;
  contextId: string;
}

export function claimKey(claim: ContextClaim): ContextKey {
  return { tenantId: claim.tenant_id as string, contextId: claim.context_id as string };
}

export function contextKey(context: Context): ContextKey {
  return { tenantId: context.tenant_id, contextId: context.id };
}

/** How a running interval ended, as far as that is known. */
export interface IntervalEnd {
  /** By E2B's clock. */
  startedAt?: Date | null;
  /** By E2B's clock. */
  endedAt?: Date | null;
  /** When it was seen to end, by performance.now(): what the caller did itself. */
  seenAt?: number;
  /** Of the context as the caller knows it: when it has changed since, nothing happens. */
  revision?: number | null;
}

const status = z.enum(["creating", "running", "paused", "terminated", "failed"]);
const PAGE = 500;

/** Who asks for a context: a user, in the tenant where it is known; or, without a user, the tenant itself. */
type ContextCaller = Pick<Caller, "userId" | "tenantId">;

export class Contexts {
  constructor(readonly gate: Gate) {}

  claim(request: {
    tenantId: string;
    userId: string | null;
    conversationId: string;
    pathId: string | undefined;
    claimId: string;
    template: string;
    timeoutSeconds: number;
    runSeconds: number;
    claimSeconds: number;
    task: string;
    enforce: boolean;
  }): Promise<ContextClaim> {
    // The same claim again gets the same answer: one that was lost is asked for once more.
    return this.#holding(
      request.tenantId,
      this.#patiently(2, "claim_context", contextClaim, {
        tenant_id: request.tenantId,
        user_id: request.userId,
        conversation_id: request.conversationId,
        path_id: request.pathId ?? null,
        claim_id: request.claimId,
        template: request.template,
        timeout_seconds: request.timeoutSeconds,
        run_seconds: request.runSeconds,
        claim_seconds: request.claimSeconds,
        task: request.task,
        enforce: request.enforce,
      }),
    );
  }

  use(request: {
    contextId: string;
    caller: ContextCaller;
    claimId: string;
    runSeconds: number;
    claimSeconds: number;
    enforce: boolean;
  }): Promise<ContextClaim> {
    return this.#holding(
      request.caller.tenantId ?? null,
      this.#patiently(2, "use_context", contextClaim, {
        context_id: request.contextId,
        user_id: request.caller.userId,
        tenant_id: request.caller.tenantId ?? null,
        claim_id: request.claimId,
        run_seconds: request.runSeconds,
        claim_seconds: request.claimSeconds,
        enforce: request.enforce,
      }),
    );
  }

  /** The context, when the caller may use it. */
  async find(contextId: string, caller: ContextCaller): Promise<Context | undefined> {
    const found = await this.gate.call("find_context", z.array(context), {
      context_id: contextId,
      user_id: caller.userId,
      tenant_id: caller.tenantId ?? null,
    });
    return found[0];
  }

  /** Tells what E2B says of it, or only its id where E2B says nothing; see spend.confirm_context. */
  confirm(
    key: ContextKey,
    claimId: string,
    facts: Partial<SandboxFacts> & { sandboxId: string },
    { revision, enforce }: { revision?: number | null; enforce: boolean },
  ): Promise<ContextClaim> {
    return this.#holding(
      key.tenantId,
      this.#patiently(4, "confirm_context", contextClaim, {
        tenant_id: key.tenantId,
        context_id: key.contextId,
        claim_id: claimId,
        sandbox_id: facts.sandboxId,
        started_at: facts.startedAt?.toISOString() ?? null,
        expires_at: facts.endAt?.toISOString() ?? null,
        vcpus: facts.vcpus ?? null,
        memory_gib: facts.memoryGib ?? null,
        revision: revision ?? null,
        enforce,
      }),
    );
  }

  /** Books the seconds that ran, once; answers the status that the context has then. */
  end(
    key: ContextKey,
    ended: "paused" | "terminated" | "failed",
    reason: string,
    { startedAt, endedAt, seenAt, revision }: IntervalEnd = {},
  ): Promise<ContextStatus> {
    return this.#booking(key, "settle", { context_id: key.contextId }, () =>
      patiently(4, () =>
        this.gate.call("end_context", status, {
          tenant_id: key.tenantId,
          context_id: key.contextId,
          status: ended,
          reason,
          started_at: startedAt?.toISOString() ?? null,
          ended_at: endedAt?.toISOString() ?? null,
          // A duration: our clock need not be the database's.
          ended_seconds_ago: seenAt === undefined ? null : (performance.now() - seenAt) / 1000,
          revision: revision ?? null,
        }),
      ),
    );
  }

  fail(
    key: ContextKey,
    claimId: string,
    failed: "failed" | "paused" | "unknown",
    reason: string,
  ): Promise<ContextStatus> {
    return this.#booking(key, "release", { context_id: key.contextId }, () =>
      this.#patiently(4, "fail_context", status, {
        tenant_id: key.tenantId,
        context_id: key.contextId,
        claim_id: claimId,
        status: failed,
        reason,
      }),
    );
  }

  /** All that reconciliation has to look at. */
  async open(): Promise<Context[]> {
    const all: Context[] = [];
    for (;;) {
      const page = await this.gate.call("open_contexts", z.array(context), {
        after_id: all.at(-1)?.id ?? null,
        max_rows: PAGE,
      });
      all.push(...page);
      if (page.length < PAGE) return all;
    }
  }

  /** The contexts that sandboxes name as theirs, whatever became of them; by id. */
  async of(sandboxes: ListedSandbox[]): Promise<Map<string, Context>> {
    const named = sandboxes.flatMap(({ tenantId, contextId }) =>
      tenantId && contextId ? [{ tenant_id: tenantId, context_id: contextId }] : [],
    );
    const found: Context[] = [];
    for (let from = 0; from < named.length; from += PAGE) {
      found.push(
        ...(await this.gate.call("contexts_of", z.array(context), {
          sandboxes: named.slice(from, from + PAGE),
        })),
      );
    }
    return new Map(found.map((each) => [each.id, each]));
  }

  /** Paused ones, as many, whose turn it is to be looked for. */
  lookAtPaused(rows: number): Promise<Context[]> {
    return this.gate.call("look_at_paused", z.array(context), { max_rows: rows });
  }

  /** Ends those that have been paused for too long, as many at most, and answers them: their sandboxes are to be killed. */
  endLongPaused(pausedSeconds: number, rows: number): Promise<Context[]> {
    return this.gate.call("end_long_paused", z.array(context), {
      paused_seconds: pausedSeconds,
      max_rows: rows,
    });
  }

  /** What the clock says that contexts live by. */
  async databaseTime(): Promise<Date> {
    return new Date(await this.gate.call("database_time", z.string(), {}));
  }

  /** Where the last look through the paused sandboxes of a project stopped; null: it came to their end. */
  sweepFrom(project: string): Promise<string | null> {
    return this.gate.call("sweep_from", z.string().nullable(), { project });
  }

  async sweepTo(project: string, nextToken: string | null): Promise<void> {
    await this.gate.call("sweep_to", z.unknown(), { project, next_token: nextToken });
  }

  claimPause(key: ContextKey, idleSeconds: number, claimSeconds: number): Promise<boolean> {
    return this.gate.call("claim_pause", z.boolean(), {
      tenant_id: key.tenantId,
      context_id: key.contextId,
      idle_seconds: idleSeconds,
      claim_seconds: claimSeconds,
    });
  }

  resolve(key: ContextKey, listedAt: Date): Promise<"released" | "booked" | null> {
    return this.#booking(key, "release", { context_id: key.contextId }, () =>
      this.gate.call("resolve_context", z.enum(["released", "booked"]).nullable(), {
        tenant_id: key.tenantId,
        context_id: key.contextId,
        listed_at: listedAt.toISOString(),
      }),
    );
  }

  /** USD that were booked for seconds that nothing had paid for yet; until now where no end is given. */
  bookStray(tenantId: string, sandbox: ListedSandbox, endedAt: Date | null): Promise<number> {
    return this.#booking({ tenantId }, "settle", { sandbox_id: sandbox.sandboxId }, () =>
      this.#patiently(2, "book_stray_sandbox", z.number(), {
        tenant_id: tenantId,
        sandbox_id: sandbox.sandboxId,
        template: sandbox.template,
        vcpus: sandbox.vcpus,
        memory_gib: sandbox.memoryGib,
        started_at: sandbox.startedAt?.toISOString() ?? null,
        ended_at: endedAt?.toISOString() ?? null,
        conversation_id: sandbox.conversationId ?? null,
        path_id: sandbox.pathId ?? null,
        context_id: sandbox.contextId ?? null,
      }),
    );
  }

  /** What holds money: the operator is alerted of a sandbox that has no price. */
  async #holding(tenantId: string | null, claimed: Promise<ContextClaim>): Promise<ContextClaim> {
    try {
      return await claimed;
    } catch (error) {
      this.gate.reportUnpriced(error, tenantId);
      throw error;
    }
  }

  /** What books money: the operator is alerted when it fails, as of a call whose reservation cannot be settled. */
  async #booking<T>(
    { tenantId }: Pick<ContextKey, "tenantId">,
    outcome: "settle" | "release",
    details: Record<string, string>,
    book: () => Promise<T>,
  ): Promise<T> {
    try {
      return await book();
    } catch (error) {
      if (!this.gate.reportUnpriced(error, tenantId)) {
        const message = `What a sandbox ${outcome === "settle" ? "cost could not be booked" : "held could not be released"}: maintenance tries again every minute.`;
        this.gate.reportUnsettled(outcome, error, tenantId, { message, details });
      }
      throw error;
    }
  }

  /** Each of these functions may be asked twice: a database that does not answer is asked again. */
  #patiently<N extends SqlFunction, T extends z.ZodType>(
    attempts: number,
    name: N,
    answer: T & AnswerSchema<N, T>,
    args: Arguments<N>,
  ): Promise<z.output<T>> {
    return patiently(attempts, () => this.gate.call(name, answer as never, args));
  }
}
