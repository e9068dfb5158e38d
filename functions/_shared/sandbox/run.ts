// Runs code in a sandbox that is ready for it.
import { SpendgateError } from "../errors.ts";
import type { Caller, Metering } from "../gate/metering.ts";
import { describeError, log } from "../runtime/log.ts";
import { Contexts } from "./contexts.ts";
import { findSandbox, isStillThere } from "./e2b.ts";
import { sandboxError } from "./error.ts";
import { type Ended, interpreterOf, runCode } from "./interpreter.ts";
import type { LiveSandbox } from "./live_sandbox.ts";
import { openSandbox, useSeconds } from "./open.ts";
import { type RunError, type RunEvent, RunOutput, type RunResult } from "./run_output.ts";
import { atStage, attributesOf } from "./stage.ts";
import { sandboxBusy } from "./stage_errors.ts";
import type { CodeRun, SandboxRequest } from "./types.ts";

/** openSandbox, and runs code in it. */
export async function runInConversation(
  metering: Metering,
  request: SandboxRequest,
  run: CodeRun,
): Promise<RunResult> {
  const live = await openSandbox(metering, request, useSeconds(run, metering.env));
  return execute(metering, live, run);
}

/**
 * Runs code, once, in a sandbox that useSandbox or openSandbox made ready for it. What the code throws is a result, as
 * is a run that took too long or printed too much: that is stopped, and the next run begins at once.
 * @throws SpendgateError upstream_error when the sandbox fails or ends under it, with what was printed until then as
 *   `output` and what is lost as `state`; sandbox_busy when other runs left it no time to begin.
 */
export function execute(
  caller: Caller,
  live: LiveSandbox,
  run: CodeRun,
  emit: (event: RunEvent) => void = () => {},
): Promise<RunResult> {
  return atStage("run", attributesOf(live), async () => {
    const output = new RunOutput(run, emit);
    const startedAt = performance.now();
    const seconds = () => (performance.now() - startedAt) / 1000;
    let ended: Ended;
    try {
      ended = await runCode(
        interpreterOf(live.sandbox),
        {
          ...run,
          answerMs: caller.env.e2bTimeoutMs,
          gone: caller.gone,
          isShared: () => isUsedSince(caller, live),
        },
        output,
      );
    } catch (error) {
      const isLost = await endIfGone(caller, live);
      throw runFailed(error, isLost, output.ended(seconds()));
    }
    const { ending, state } = ended;
    log("info", "sandbox_run", { ...attributesOf(live), seconds: seconds(), ending, state });
    if (ending === "waited")
      return sandboxBusy("run", "Other code ran in the sandbox all the time. Try again.");
    output.result.error ??= stoppedBy(ending, run);
    return output.ended(seconds(), state);
  });
}

/** What a run that was stopped says in the place of what its code threw. */
function stoppedBy(ending: Ended["ending"], { seconds }: CodeRun): RunError | null {
  switch (ending) {
    case "timeout": {
      const message = `The code had not ended after ${seconds} s, and was stopped.`;
      return { name: "RunTimeout", message, traceback: null };
    }
    case "gone":
      return {
        name: "RunAborted",
        message: "Nobody waits for the code any more.",
        traceback: null,
      };
    default:
      return null;
  }
}

/** Whether somebody else has come to the sandbox since. */
async function isUsedSince(caller: Caller, live: LiveSandbox): Promise<boolean> {
  const found = await new Contexts(caller.gate).find(live.contextId, caller);
  return found !== undefined && found.runs > live.run;
}

/** A run that failed, with what it printed before, and what is lost of what the sandbox had. */
function runFailed(error: unknown, isLost: boolean, output: RunResult): SpendgateError {
  const failed = sandboxError(error);
  return new SpendgateError(
    isLost ? "upstream_error" : failed.code,
    isLost
      ? "The sandbox ended while the code ran. Its variables and files are lost: open it again."
      : failed.message,
    {
      details: { ...failed.details, state: isLost ? "lost" : "unknown", output },
      retryAfter: failed.retryAfter,
      cause: failed.cause,
    },
  );
}

/**
 * A run failed: when that was because its sandbox is no more, or was paused, its context ends or pauses too.
 * @returns whether it is no more.
 */
async function endIfGone(caller: Caller, live: LiveSandbox): Promise<boolean> {
  const { env } = caller;
  const contexts = new Contexts(caller.gate);
  const facts = await findSandbox(env, live.sandboxId).catch(() => null);
  if (facts === null || (facts && facts.state !== "paused")) return false;
  if (!facts && (await isStillThere(env, live.sandboxId, live.contextId))) return false;
  const ended = facts
    ? contexts.end(live, "paused", "found_paused", { endedAt: facts.endAt })
    : contexts.end(live, "terminated", "lost");
  await ended.catch((error) => log("error", "settle_failed", describeError(error)));
  return facts === undefined;
}
