// Gets a sandbox ready for a use: the one that is there, or a new one, held before it runs.
import type { Caller, Metering } from "../gate/metering.ts";
import type { Env } from "../runtime/env.ts";
import { sleep } from "../runtime/sleep.ts";
import { SPANS } from "../runtime/telemetry/names.ts";
import { inSpan } from "../runtime/telemetry/spans.ts";
import { type ContextClaim, Contexts } from "./contexts.ts";
import { expectSandboxes } from "./e2b.ts";
import type { LiveSandbox } from "./live_sandbox.ts";
import { reachSandbox } from "./reach.ts";
import { atStage } from "./stage.ts";
import { noSandbox, refusal, refuse, sandboxBusy } from "./stage_errors.ts";
import { startSandbox } from "./start.ts";
import type { CodeRun, SandboxRequest } from "./types.ts";

/** How often a request begins anew because the sandbox was lost under its hands. */
const MAX_TURNS = 4;

/**
 * Gets the sandbox of a conversation's path, or starts it. Of any number of requests at once one starts it,
 * the others wait.
 * @throws SpendgateError with the `stage`: quota_exceeded, not_your_sandbox, upstream_error, sandbox_busy
 *   when the wait was in vain, what the gate says.
 */
export function openSandbox(
  metering: Metering,
  request: SandboxRequest,
  runSeconds = 0,
): Promise<LiveSandbox> {
  const { gate, env, tenantId, userId, task } = metering;
  const { conversationId, pathId } = request;
  const attributes = { tenant: tenantId, task, conversation: conversationId };
  return inSpan(SPANS.openContext, { attributes }, () =>
    enter(metering, (claimId) =>
      new Contexts(gate).claim({
        ...{ tenantId, userId, conversationId, pathId, claimId, task, runSeconds },
        template: request.template ?? env.sandboxTemplate,
        timeoutSeconds: request.timeoutSeconds ?? env.sandboxTimeoutSeconds,
        claimSeconds: claimSeconds(env),
        enforce: env.enforceE2bQuotas,
      }),
    ),
  );
}

/**
 * A sandbox that was opened before, ready for a run; one that was paused goes on.
 * @throws SpendgateError not_found when it has ended or is not the user's to use; else as openSandbox.
 */
export function useSandbox(caller: Caller, contextId: string, run: CodeRun): Promise<LiveSandbox> {
  return inSpan(SPANS.useContext, { attributes: { context: contextId } }, () =>
    enter(caller, (claimId) =>
      new Contexts(caller.gate).use({
        contextId,
        caller,
        claimId,
        runSeconds: useSeconds(run, caller.env),
        claimSeconds: claimSeconds(caller.env),
        enforce: caller.env.enforceE2bQuotas,
      }),
    ),
  );
}

/** Asks for the sandbox until it is there: starts it, resumes it, waits for whoever does, connects to it. */
async function enter(
  caller: Caller,
  ask: (claimId: string) => Promise<ContextClaim>,
): Promise<LiveSandbox> {
  expectSandboxes();
  const deadline = Date.now() + caller.env.sandboxWaitMs;
  let claimId = crypto.randomUUID();
  for (let turn = 0, waits = 0; turn < MAX_TURNS; ) {
    const claim = await atStage("quota_check", { tenantId: caller.tenantId }, async () => {
      const answer = await ask(claimId);
      if (answer.outcome === "refused" && !answer.started_at) throw refusal(caller, answer);
      return answer;
    });
    const askedAt = performance.now();
    if (claim.outcome === "gone") return noSandbox("connect");
    if (claim.outcome === "refused") return refuse(caller, claim);
    if (claim.outcome === "wait") {
      if (Date.now() >= deadline) break;
      await sleep(Math.min(100 * 1.5 ** waits++, 1000));
      continue;
    }
    const live =
      claim.outcome === "ready"
        ? await reachSandbox(caller, claim, askedAt)
        : await startSandbox(caller, claim, claimId);
    // On the way for longer than was reckoned with, it is asked for once more, for the time that is needed now.
    if (live && performance.now() - askedAt <= caller.env.e2bTimeoutMs) return live;
    claimId = crypto.randomUUID();
    turn++;
  }
  return sandboxBusy("connect");
}

/** A claim lasts longer than E2B may take to start a sandbox and to describe it. */
function claimSeconds(env: Env): number {
  return Math.ceil((2 * env.e2bTimeoutMs) / 1000) + 10;
}

/** How long a run may use its sandbox: on the way to it, until its first word, and while it runs. */
export function useSeconds(run: CodeRun, env: Env): number {
  return run.seconds + Math.ceil((2 * env.e2bTimeoutMs) / 1000);
}
