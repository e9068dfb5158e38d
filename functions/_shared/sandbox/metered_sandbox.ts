// The public face of this room: every second of a sandbox that is started from here is held before and booked after.
export { hasSandboxes } from "./e2b.ts";
export type { LiveSandbox } from "./live_sandbox.ts";
export { openSandbox, useSandbox } from "./open.ts";
export { type Reconciled, reconcile } from "./reconcile/reconcile.ts";
export { execute, runInConversation } from "./run.ts";
export type { RunResult } from "./run_output.ts";
export { terminateSandbox } from "./terminate.ts";
export type { CodeRun, SandboxRequest } from "./types.ts";
