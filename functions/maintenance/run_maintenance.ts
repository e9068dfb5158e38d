// What has to be done from time to time: in the database, and with sandboxes. Called by a scheduler.
import type { Context } from "../_shared/http/serve.ts";
import { describeError, log } from "../_shared/runtime/log.ts";
import { hasSandboxes, reconcile } from "../_shared/sandbox/metered_sandbox.ts";
import { maintain } from "./maintain.ts";

/** POST /maintenance. Answers what was done: rows of each job of spend.maintain(), sandboxes by what became of them. */
export async function runMaintenance({ env, gate }: Context): Promise<Response> {
  // Where the one fails, the other is done all the same.
  const database = await maintain(gate).catch((error) =>
    log("error", "maintain_failed", describeError(error)),
  );
  const sandboxes = hasSandboxes() ? await reconcile(env, gate) : null;
  return Response.json({ database: database ?? null, sandboxes });
}
