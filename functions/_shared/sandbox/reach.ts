// Connects to sandboxes that run.
import type { Caller } from "../gate/metering.ts";
import { inBackground } from "../runtime/background.ts";
import { type ContextClaim, Contexts, claimKey } from "./contexts.ts";
import { findSandbox } from "./e2b.ts";
import { sandboxError } from "./error.ts";
import { ensureEnd, lifeEnds, tellEnd } from "./expiry.ts";
import { type LiveSandbox, toLive } from "./live_sandbox.ts";
import { atStage, attributesOf } from "./stage.ts";

/** Connects to a sandbox that runs, for as long as is held. Undefined when it is gone, or was paused: asked again. */
export function reachSandbox(
  caller: Caller,
  claim: ContextClaim,
  askedAt: number,
): Promise<LiveSandbox | undefined> {
  const { env } = caller;
  const contexts = new Contexts(caller.gate);
  const key = claimKey(claim);
  const sandboxId = claim.sandbox_id as string;
  return atStage(claim.is_extended ? "extend" : "connect", attributesOf(key), async () => {
    const before = await findSandbox(env, sandboxId).catch(() => undefined);
    if (before?.state === "paused") {
      // It was paused, and nobody booked that. The next claim resumes it on a hold of its own.
      const found = { endedAt: before.endAt, revision: claim.revision };
      await contexts.end(key, "paused", "found_paused", found);
      return undefined;
    }
    const told = await tellEnd(caller, key, sandboxId, claim).catch((error) => {
      throw sandboxError(error);
    });
    if (told === undefined) {
      await contexts.end(key, "terminated", "lost");
      return undefined;
    }
    const { answer, sandbox } = told;
    if (answer.outcome !== "ready") return undefined;
    if (!claim.is_extended) inBackground(ensureEnd(caller, key, sandboxId, claim));
    // What was reckoned with for the way here is not needed any more.
    const left = Math.max(env.e2bTimeoutMs - (performance.now() - askedAt), 0);
    if (Date.parse(answer.expires_at ?? "") < Date.parse(claim.in_use_until ?? "") - left) {
      throw lifeEnds(answer);
    }
    return toLive(answer, sandbox, claim);
  });
}
