// What a use of a sandbox takes.
import type { Gate } from "../gate/gate.ts";
import type { Env } from "../runtime/env.ts";
import type { OutputLimits } from "./run_output.ts";

/** Who uses a sandbox. */
export interface SandboxCaller {
  gate: Gate;
  env: Env;
  userId: string;
  /** Where it is known before the sandbox is found. */
  tenantId?: string;
  /** Aborted when nobody waits for the output any more. */
  gone?: AbortSignal;
}

/** The sandbox of a conversation's path. */
export interface SandboxRequest {
  conversationId: string;
  pathId?: string;
  /** A row of spend.sandbox_templates. */
  template?: string;
  /** Seconds that it may live until it is used again. */
  timeoutSeconds?: number;
}

export interface CodeRun extends OutputLimits {
  code: string;
  language: string;
  /** Seconds that it may take. */
  seconds: number;
}
