// spendgate/e2b: E2B sandboxes whose seconds are held before and booked after; one for each conversation and path.
import type { Sandbox } from "@e2b/code-interpreter";
import * as room from "../../../functions/_shared/sandbox/metered_sandbox.ts";
import { meteringOf } from "./internals.ts";
import type { Spender } from "./types.ts";

export interface SandboxRequest {
  conversationId: string;
  pathId?: string;
  /** A row of spend.sandbox_templates. */
  template?: string;
  /** Seconds that it may live until it is used again. */
  timeoutSeconds?: number;
}

export interface LiveSandbox {
  /** For endSandbox. */
  id: string;
  /** E2B's own id. */
  sandboxId: string;
  /** This call started it. */
  isNew: boolean;
  startedAt: string;
  expiresAt: string;
  /** E2B's own, to work with until it expires. */
  sandbox: Sandbox;
}

export interface CodeRun {
  code: string;
  /** python, when left out. */
  language?: string;
  /** Seconds that it may take. */
  seconds?: number;
}

export interface RunResult {
  stdout: string;
  stderr: string;
  results: Record<string, unknown>[];
  /** What the code threw, `RunTimeout` when it took too long. */
  error: { name: string; message: string; traceback: string | null } | null;
  isTruncated: boolean;
  seconds: number;
}

/**
 * Gets the sandbox of a conversation's path, or starts it. E2B_API_KEY is read from the environment.
 * @throws SpendgateError quota_exceeded, not_configured, not_your_sandbox, sandbox_busy, upstream_error, …
 */
export async function openSandbox(spender: Spender, request: SandboxRequest): Promise<LiveSandbox> {
  const { contextId, sandboxId, isNew, startedAt, expiresAt, sandbox } = await room.openSandbox(
    sandboxMetering(spender),
    request,
  );
  return { id: contextId, sandboxId, isNew, startedAt, expiresAt, sandbox };
}

/** openSandbox, and runs code in it. What the code throws is a result. @throws SpendgateError as openSandbox */
export function runCode(
  spender: Spender,
  request: SandboxRequest,
  { code, language = "python", seconds }: CodeRun,
): Promise<RunResult> {
  const metering = sandboxMetering(spender);
  const { runSeconds, maxOutputBytes } = metering.env;
  const run = { code, language, seconds: seconds ?? runSeconds, maxBytes: maxOutputBytes };
  return room.runInConversation(metering, request, run);
}

/** Ends a sandbox, and books the seconds that it ran. Again: nothing happens. @throws SpendgateError not_found, … */
export function endSandbox(spender: Spender, id: string): Promise<void> {
  return room.terminateSandbox(sandboxMetering(spender), id);
}

function sandboxMetering(spender: Spender) {
  const metering = meteringOf(spender);
  return spender.task === undefined ? { ...metering, task: "sandbox" } : metering;
}
