// What has to be done from time to time: in the database, and with sandboxes. Called by a scheduler.
import type { Env } from "../_shared/env.ts";
import type { Gate } from "../_shared/gate.ts";
import { expectMethod } from "../_shared/http.ts";
import { describeError, log } from "../_shared/log.ts";
import { hasSandboxes } from "../_shared/metered_sandbox.ts";
import { requireSecretKey } from "../_shared/secret_key.ts";
import { flushTelemetry } from "../_shared/telemetry.ts";
import { maintain } from "./maintain.ts";
import { reconcile } from "./reconcile.ts";

/** Answers what was done: rows of each job of spend.maintain(), sandboxes by what became of them. */
export async function handleMaintenance(request: Request, env: Env, gate: Gate): Promise<Response> {
  await requireSecretKey(request, env);
  expectMethod(request, "POST");
  // Where the one fails, the other is done all the same.
  const database = await maintain(gate).catch((error) =>
    log("error", "maintain_failed", describeError(error)),
  );
  const sandboxes = hasSandboxes() ? await reconcile(env, gate) : null;
  flushTelemetry();
  return Response.json({ database: database ?? null, sandboxes });
}
