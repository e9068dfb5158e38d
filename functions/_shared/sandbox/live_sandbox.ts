// A sandbox that runs, as its user is given it.
import { type ContextClaim, type ContextKey, claimKey } from "./contexts.ts";
import type { Sandbox } from "./e2b.ts";

/** A sandbox that runs, and is paid for. */
export interface LiveSandbox extends ContextKey {
  conversationId: string;
  pathId: string | null;
  template: string;
  sandboxId: string;
  /** This request started it. */
  isNew: boolean;
  startedAt: string;
  /** When it ends by itself. */
  expiresAt: string;
  /** Number of this run, of all that were admitted to it. */
  run: number;
  sandbox: Sandbox;
}

/** `claim` is what this request was given, `answer` what is known since. */
export function toLive(answer: ContextClaim, sandbox: Sandbox, claim: ContextClaim): LiveSandbox {
  return {
    ...claimKey(answer),
    conversationId: answer.conversation_id as string,
    pathId: answer.path_id,
    template: answer.template as string,
    sandboxId: sandbox.sandboxId,
    isNew: claim.outcome === "create",
    startedAt: answer.started_at as string,
    expiresAt: answer.expires_at as string,
    run: claim.runs ?? 0,
    sandbox,
  };
}
