// Typed doors to the SQL functions of execution contexts. What they do is told in schemas/60_sandboxes.
import { z } from "zod";
import type { AnswerSchema, Arguments, SqlFunction } from "../database/client.ts";
import { reserveAnswer } from "../gate/answers.ts";
import { type Gate, patiently } from "../gate/gate.ts";

const contextClaim = z.object({
  outcome: z.enum(["create", "resume", "ready", "wait", "refused", "gone"]),
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
  in_use_until: z.string().nullish(),
  refusal: reserveAnswer.nullable(),
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

/** What E2B says of a running sandbox. */
export interface SandboxFacts {
  sandboxId: string;
  startedAt: Date;
  endAt: Date;
  /** Null when E2B did not tell: as the template has it. */
  vcpus: number | null;
  memoryGib: number | null;
}

/** How a running interval ended, where that is known. */
export interface IntervalEnd {
  startedAt?: Date | null;
  endedAt?: Date | null;
}

const status = z.enum(["creating", "running", "paused", "terminated", "failed"]);
const PAGE = 500;

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
    return this.#patiently(2, "claim_context", contextClaim, {
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
    });
  }

  use(request: {
    contextId: string;
    userId: string;
    claimId: string;
    runSeconds: number;
    claimSeconds: number;
    enforce: boolean;
  }): Promise<ContextClaim> {
    return this.#patiently(2, "use_context", contextClaim, {
      context_id: request.contextId,
      user_id: request.userId,
      claim_id: request.claimId,
      run_seconds: request.runSeconds,
      claim_seconds: request.claimSeconds,
      enforce: request.enforce,
    });
  }

  /** The context, when the user may use it. */
  async find(contextId: string, userId: string): Promise<Context | undefined> {
    const found = await this.gate.call("find_context", z.array(context), {
      context_id: contextId,
      user_id: userId,
    });
    return found[0];
  }

  /** Answers other than running: the claim was lost, the sandbox is nobody's. */
  confirm(key: ContextKey, claimId: string, facts: SandboxFacts): Promise<ContextStatus> {
    return this.#patiently(4, "confirm_context", status, {
      tenant_id: key.tenantId,
      context_id: key.contextId,
      claim_id: claimId,
      sandbox_id: facts.sandboxId,
      started_at: facts.startedAt.toISOString(),
      expires_at: facts.endAt.toISOString(),
      vcpus: facts.vcpus,
      memory_gib: facts.memoryGib,
    });
  }

  /** Books the seconds that ran, once; answers the status that the context has then. */
  end(
    key: ContextKey,
    ended: "paused" | "terminated" | "failed",
    reason: string,
    { startedAt, endedAt }: IntervalEnd = {},
  ): Promise<ContextStatus> {
    return this.#patiently(4, "end_context", status, {
      tenant_id: key.tenantId,
      context_id: key.contextId,
      status: ended,
      reason,
      started_at: startedAt?.toISOString() ?? null,
      ended_at: endedAt?.toISOString() ?? null,
    });
  }

  fail(
    key: ContextKey,
    claimId: string,
    failed: "failed" | "paused" | "unknown",
    reason: string,
  ): Promise<ContextStatus> {
    return this.#patiently(4, "fail_context", status, {
      tenant_id: key.tenantId,
      context_id: key.contextId,
      claim_id: claimId,
      status: failed,
      reason,
    });
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

  claimPause(key: ContextKey, idleSeconds: number): Promise<boolean> {
    return this.gate.call("claim_pause", z.boolean(), {
      tenant_id: key.tenantId,
      context_id: key.contextId,
      idle_seconds: idleSeconds,
    });
  }

  resolve(key: ContextKey, listedAt: Date): Promise<"released" | "booked" | null> {
    return this.gate.call("resolve_context", z.enum(["released", "booked"]).nullable(), {
      tenant_id: key.tenantId,
      context_id: key.contextId,
      listed_at: listedAt.toISOString(),
    });
  }

  /** USD that were booked for seconds that nothing had paid for yet. */
  bookStray(
    tenantId: string,
    facts: SandboxFacts & { template: string; conversationId?: string; pathId?: string },
    endedAt: Date,
  ): Promise<number> {
    return this.#patiently(2, "book_stray_sandbox", z.number(), {
      tenant_id: tenantId,
      sandbox_id: facts.sandboxId,
      template: facts.template,
      vcpus: facts.vcpus,
      memory_gib: facts.memoryGib,
      started_at: facts.startedAt.toISOString(),
      ended_at: endedAt.toISOString(),
      conversation_id: facts.conversationId ?? null,
      path_id: facts.pathId ?? null,
    });
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
