// Stages of a sandbox's life: whatever fails says in which.
import { SpendgateError, toSpendgateError } from "../errors.ts";
import { logOnce } from "../runtime/log.ts";
import { SPANS } from "../runtime/telemetry/names.ts";
import { inSpan } from "../runtime/telemetry/spans.ts";
import { record } from "../runtime/telemetry/telemetry.ts";
import type { ContextKey } from "./contexts.ts";
import { withRetryAfter } from "./error.ts";

export type Stage =
  | "quota_check"
  | "create"
  | "connect"
  | "extend"
  | "run"
  | "pause"
  | "terminate"
  | "settle";

/** Stages that the gate has too are named as there. */
const NAMES: Partial<Record<Stage, string>> = {
  quota_check: SPANS.reserve,
  settle: SPANS.settle,
};

/** What a stage is about. */
export interface Subject {
  tenantId?: string | null;
  contextId?: string | null;
  sandboxId?: string | null;
}

/**
 * Does the work of a stage: a span, a duration and, where it fails, a line in the log.
 * @throws SpendgateError as the work does, with `stage` in its details.
 */
export async function atStage<T>(
  stage: Stage,
  subject: Subject,
  work: () => Promise<T>,
): Promise<T> {
  const { tenantId: tenant, contextId: context, sandboxId: sandbox } = subject;
  const name = NAMES[stage] ?? SPANS.sandbox.replace("{stage}", stage);
  const startedAt = performance.now();
  let failure: string | undefined;
  try {
    return await inSpan(name, { attributes: { stage, tenant, context, sandbox } }, async () => {
      try {
        return await withRetryAfter(work);
      } catch (thrown) {
        throw withStage(toSpendgateError(thrown), stage);
      }
    });
  } catch (thrown) {
    const error = toSpendgateError(thrown);
    failure = error.code;
    const known = Object.entries(subject).filter(([, value]) => value);
    logOnce(error.status >= 500 ? "error" : "warn", "sandbox_failed", error, {
      ...Object.fromEntries(known),
      stage,
    });
    throw error;
  } finally {
    record("sandboxDuration", (performance.now() - startedAt) / 1000, { stage, error: failure });
    record("sandboxOperations", 1, { stage });
    if (failure) record("sandboxErrors", 1, { stage, error: failure });
  }
}

export function attributesOf({ tenantId, contextId }: ContextKey) {
  return { tenantId, contextId };
}

function hasStage(error: unknown): boolean {
  return error instanceof SpendgateError && error.details.stage !== undefined;
}

/** The same error, which says where it happened; the innermost stage stays. */
function withStage(error: SpendgateError, stage: Stage): SpendgateError {
  if (hasStage(error)) return error;
  return new SpendgateError(error.code, error.message, {
    details: { ...error.details, stage },
    retryAfter: error.retryAfter,
    headers: error.headers,
    status: error.status,
    words: error.words,
    mayRetry: error.mayRetry,
    cause: error.cause ?? error,
    quotaId: error.quotaId,
  });
}
