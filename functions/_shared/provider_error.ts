// What a provider's failure means: for the hold, for trying again, and for the caller.
import { AISDKError, APICallError } from "@ai-sdk/provider";
import { SpendgateError, toSpendgateError } from "./errors.ts";
import { invalidRequest } from "./http.ts";
import { log, messageOf } from "./log.ts";

/** Errors of the SDK that come before anything is sent: the prompt is not one that the model takes. */
const NEVER_SENT =
  /^AI_(UnsupportedFunctionality|InvalidPrompt|InvalidArgument|InvalidDataContent|InvalidMessageRole|MessageConversion|MissingToolResults|Download|NoSuchModel)/;

/** The provider said, in the stream and before it produced anything, that it fails. */
export class ProviderFailure extends Error {}

/** The call took longer than it may. */
export class CallTimeout extends Error {}

/** Whether a call that failed before it produced anything is known to cost nothing. */
export function chargesNothing(error: unknown): boolean {
  return (
    error instanceof ProviderFailure ||
    isRefusal(error) ||
    wasNeverSent(error) ||
    // A connection that was never made; one that broke later leaves the usage unknown.
    /\(Connect\)|connection refused|ECONNREFUSED|ENOTFOUND|dns error/i.test(messageOf(error))
  );
}

/** Whether the provider says that trying again may help. */
export function isRetryable(error: unknown): boolean {
  return APICallError.isInstance(error) && error.isRetryable;
}

/** Milliseconds to wait before the next try: what the provider asks for, up to ten seconds, else a backoff. */
export function retryDelayMs(error: unknown, retry: number): number {
  const backoff = Math.min(500 * 2 ** retry, 8000);
  const asked = Number(retryAfterOf(error) ?? Number.NaN) * 1000;
  return Number.isFinite(asked) && asked >= 0 ? Math.min(asked, 10_000) : backoff;
}

/** The failure as the caller gets it: 502, without what a provider's words may give away. */
export function upstreamError(error: unknown): SpendgateError {
  if (error instanceof SpendgateError) return error;
  if (wasNeverSent(error)) {
    return invalidRequest([{ path: "messages", message: messageOf(error) }]);
  }
  log("warn", "upstream_error", { message: messageOf(error) });
  const failed = APICallError.isInstance(error) ? error : undefined;
  const message =
    error instanceof CallTimeout
      ? "The model's provider took too long."
      : "The model's provider failed.";
  return new SpendgateError("upstream_error", message, {
    details: {
      upstream: { status: failed?.statusCode ?? null, retryAfter: retryAfterOf(error) ?? null },
    },
    cause: error,
  });
}

/** What the AI SDK throws, as the caller gets it; its words about a prompt are for whoever wrote it. */
export function callError(error: unknown): SpendgateError {
  return AISDKError.isInstance(error) ? upstreamError(error) : toSpendgateError(error);
}

function isRefusal(error: unknown): boolean {
  return APICallError.isInstance(error) && (error.statusCode ?? 0) >= 400;
}

function wasNeverSent(error: unknown): boolean {
  return AISDKError.isInstance(error) && NEVER_SENT.test(error.name);
}

function retryAfterOf(error: unknown): string | undefined {
  return APICallError.isInstance(error) ? error.responseHeaders?.["retry-after"] : undefined;
}
