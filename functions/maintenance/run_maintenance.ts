// What has to be done from time to time: in the database, and with sandboxes. Called by a scheduler.
import type { Context } from "../_shared/http/serve.ts";
import { inBackground } from "../_shared/runtime/background.ts";
import { describeError, log } from "../_shared/runtime/log.ts";
import { SPANS } from "../_shared/runtime/telemetry/names.ts";
import { inSpan } from "../_shared/runtime/telemetry/spans.ts";
import { hasSandboxes, reconcile } from "../_shared/sandbox/metered_sandbox.ts";
import { maintain } from "./maintain.ts";
import { tellState } from "./state.ts";

/** POST /maintenance. Answers what was done: rows of each job of spend.maintain(), sandboxes by what became of them. */
export async function runMaintenance({ env, gate }: Context): Promise<Response> {
  // Where the one fails, the other is done all the same.
  const database = await inSpan(SPANS.maintenance, {}, () => maintain(gate)).catch((error) =>
    log("error", "maintain_failed", describeError(error)),
  );
  const sandboxes = hasSandboxes() ? await reconcile(env, gate) : null;
  inBackground(tellState(gate));
  return Response.json({ database: database ?? null, sandboxes });
}
