// What a provider's failure means: for the hold, for trying again, and for the caller.
import { AISDKError, APICallError } from "@ai-sdk/provider";
import { SpendgateError, toSpendgateError } from "./errors.ts";
import { invalidRequest } from "./http.ts";
import { log, messageOf } from "./log.ts";
import { faultOf, type ProviderRefusal, readRefusal, waitSeconds } from "./provider_refusal.ts";

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

/**
 * The failure as the caller gets it: 400 with the provider's code where the request is to blame, 503 with Retry-After
 * where it is busy, else 502, without what a provider's words may give away.
 */
export function upstreamError(error: unknown): SpendgateError {
  if (error instanceof SpendgateError) return error;
  if (wasNeverSent(error)) {
    return invalidRequest([{ path: "messages", message: messageOf(error) }]);
  }
  const refusal = readRefusal(error);
  if (faultOf(refusal) === "caller") return refusedRequest(refusal, error);
  log("warn", "upstream_error", { message: messageOf(error) });
  const { status, code } = refusal;
  const retryAfter = waitSeconds(refusal);
  return new SpendgateError("upstream_error", failureOf(error, refusal), {
    details: {
      upstream: { status, code, retryAfter: retryAfterOf(error) ?? null },
      ...(retryAfter !== undefined && { retryAfter }),
    },
    retryAfter,
    status: faultOf(refusal) === "busy" ? 503 : undefined,
    mayRetry: faultOf(refusal) !== "account",
    cause: error,
  });
}

function failureOf(error: unknown, refusal: ProviderRefusal): string {
  if (error instanceof CallTimeout) return "The model's provider took too long.";
  switch (faultOf(refusal)) {
    case "account":
      return "The model's provider refuses this project's account.";
    case "busy":
      return "The model's provider is busy.";
    default:
      return "The model's provider failed.";
  }
}

function refusedRequest(refusal: ProviderRefusal, cause: unknown): SpendgateError {
  const { status, code, param, words } = refusal;
  const message = "The model's provider does not take this request.";
  return new SpendgateError("invalid_request", message, {
    details: {
      issues: [{ path: param ?? "", message: words ?? message }],
      upstream: { status, code, retryAfter: null },
    },
    words: words ?? undefined,
    cause,
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
