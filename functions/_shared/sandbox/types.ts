// What a use of a sandbox takes.
import type { OutputLimits } from "./run_output.ts";

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
