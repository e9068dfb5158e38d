// What users of the library may do when a quota warns or refuses. The call waits for nothing of it.
import { inBackground } from "../runtime/background.ts";
import { describeError, log } from "../runtime/log.ts";
import { sleep } from "../runtime/sleep.ts";
import type { QuotaDetails } from "./answers.ts";

/** A call that a quota warned of, or refused. */
export interface QuotaEvent {
  tenantId: string;
  userId: string | null;
  resourceType: "llm" | "e2b";
  /** Null where a sandbox is used again: it was opened for a task. */
  task: string | null;
  conversationId: string | null;
  /** Null where the call was refused before it held anything. */
  reservationId: string | null;
  /** The quotas that warn, or the one that refused. USD. */
  quotas: QuotaDetails[];
}

export interface RefusalEvent extends QuotaEvent {
  reason: "limit_reached" | "in_flight" | "exceeds_limit";
}

export interface GateHooks {
  /** A call was admitted by quotas that have reached their warning threshold. Once for each such call. */
  onQuotaWarning?: (event: QuotaEvent) => void | Promise<void>;
  /** A call was refused, or stopped on its way. Once for each such call. */
  onQuotaExceeded?: (event: RefusalEvent) => void | Promise<void>;
}

/** Calls a hook when the call has gone on. What it throws is logged. */
export function callHook<E extends QuotaEvent>(
  name: keyof GateHooks,
  hook: ((event: E) => void | Promise<void>) | undefined,
  event: E,
): void {
  if (hook === undefined) return;
  const { tenantId } = event;
  inBackground(
    sleep(0)
      .then(() => hook(event))
      .catch((error) =>
        log("error", "hook_failed", { hook: name, tenantId, ...describeError(error) }),
      ),
  );
}
