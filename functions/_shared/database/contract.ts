// The version of the SQL contract that this code is written for: see spend.contract_version().
import { SpendgateError } from "../errors.ts";

export const CONTRACT_VERSION = 1;

/**
 * The database has another version; null: it has none, being older than versions or not migrated at all. `cause` is how
 * that was found, where it was by an answer that could not be read.
 */
export function contractMismatch(version: number | null, cause?: unknown): SpendgateError {
  const isOlder = version === null || version < CONTRACT_VERSION;
  const remedy = isOlder
    ? "Push the migrations (supabase db push), then reload the Data API's schema cache."
    : "Deploy the functions of the release that the database was migrated to.";
  return new SpendgateError(
    "not_configured",
    `The database has contract version ${version ?? "none"}, the functions need ${CONTRACT_VERSION}. ${remedy}`,
    {
      details: { contractVersion: { database: version, functions: CONTRACT_VERSION }, remedy },
      mayRetry: false,
      cause,
    },
  );
}
