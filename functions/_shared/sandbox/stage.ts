// Stages of a sandbox's life: whatever fails says in which.
import { SpendgateError, toSpendgateError } from "../errors.ts";
import { describeError, log } from "../runtime/log.ts";
import { failSpan, recordStage, startSpan } from "../runtime/telemetry.ts";
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

/**
 * Does the work of a stage: a span, a duration and, where it fails, a line in the log.
 * @throws SpendgateError as the work does, with `stage` in its details.
 */
export async function atStage<T>(
  stage: Stage,
  attributes: Record<string, string | undefined>,
  work: () => Promise<T>,
): Promise<T> {
  const known = Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => (value ? [[name, value]] : [])),
  );
  const span = startSpan(`sandbox ${stage}`, {
    "spendgate.stage": stage,
    ...Object.fromEntries(
      Object.entries(known).map(([name, value]) => [`spendgate.${name}`, value]),
    ),
  });
  const startedAt = performance.now();
  let failure: string | undefined;
  try {
    return await withRetryAfter(work);
  } catch (thrown) {
    const error = withStage(toSpendgateError(thrown), stage);
    failure = error.code;
    failSpan(span, error);
    // A stage within this one has said so already.
    if (!hasStage(thrown)) {
      log(error.status >= 500 ? "error" : "warn", "sandbox_failed", {
        ...known,
        stage,
        ...describeError(error),
      });
    }
    throw error;
  } finally {
    recordStage((performance.now() - startedAt) / 1000, {
      "spendgate.stage": stage,
      ...(failure && { "error.type": failure }),
    });
    span.end();
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
