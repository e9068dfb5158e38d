// What the database answers where it does not answer what was asked for.
import { invalidRequest, SpendgateError } from "../errors.ts";

/** An error as the Data API words it, and reserve_many and settle_many that of one element. */
export interface DatabaseFailure {
  code: string;
  message: string;
  details: string | null;
}

/** The contract's SQLSTATEs; everything else means that the gate cannot answer. */
export function databaseError(error: DatabaseFailure): SpendgateError {
  const details = parseDetails(error.details);
  switch (error.code) {
    case "22023":
      return invalidRequest([
        {
          path: String(details.field ?? "usage"),
          message: String(details.problem ?? error.message),
        },
      ]);
    case "42501":
      if (error.message === "not_your_context") {
        return new SpendgateError(
          "not_your_sandbox",
          "Another member of the tenant opened this conversation's sandbox.",
        );
      }
      // Also Postgres' own "permission denied", which is a fault of the set-up, not of the user.
      return error.message === "not_a_member"
        ? new SpendgateError("not_a_member", "You are not a member of this tenant.")
        : unavailable(error.message, error.code);
    case "PT403":
      return new SpendgateError("tenant_closed", "This tenant is closed.");
    case "PT409":
      // A hold that has expired cannot be extended; its call has no cover any more.
      if (error.message === "reservation_ended") return unavailable(error.message, error.code);
      return new SpendgateError(
        "idempotency_conflict",
        "This idempotency key was used in this tenant before, for another request or by another member. Take a new key.",
      );
    case "PGRST106":
      return notConfigured(
        "The Data API does not expose the schema spend: add it to its exposed schemas.",
      );
    case "PT422":
      return new SpendgateError("unpriced_product", `There is no price for ${details.product}.`, {
        details,
      });
    default:
      // Class 22: a value that no column takes, such as a text with NUL in it. It was the caller's, and stays wrong.
      return error.code?.startsWith("22")
        ? invalidRequest([{ path: "", message: "A value is not one that can be stored." }])
        : unavailable(error.message, error.code);
  }
}

/**
 * There is no function of that name which takes these arguments, as PostgREST says it (PGRST202; PGRST203: several), or
 * Postgres, to a PostgREST that has an old schema in its cache.
 */
export function isUnknownFunction({ code }: Pick<DatabaseFailure, "code">): boolean {
  return code === "PGRST202" || code === "PGRST203" || code === "42883";
}

/** Whether a call may have been carried out although no answer came, or none that could be read: no SQLSTATE says that it was not. */
export function isLost(error: unknown): boolean {
  if (!(error instanceof SpendgateError) || !(error.cause instanceof Error)) return false;
  const mayBeDone = error.code === "quota_unavailable" || error.code === "not_configured";
  return mayBeDone && !("sqlstate" in error.cause && error.cause.sqlstate);
}

/** The database gave no answer, or none that can be used. */
export function unavailable(message: string, sqlstate?: string): SpendgateError {
  return new SpendgateError(
    "quota_unavailable",
    "The quota cannot be checked right now; nothing was spent.",
    {
      retryAfter: 5,
      cause: Object.assign(new Error(message), { name: "GateError", sqlstate }),
    },
  );
}

function parseDetails(details: string | null): Record<string, unknown> {
  try {
    const value = JSON.parse(details ?? "{}");
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

function notConfigured(message: string): SpendgateError {
  return new SpendgateError("not_configured", message, { mayRetry: false });
}
