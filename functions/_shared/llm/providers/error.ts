// What a provider's failure means: for the hold, for trying again, and for the caller.
import { AISDKError, APICallError, TypeValidationError } from "@ai-sdk/provider";
import { invalidRequest, SpendgateError, toSpendgateError } from "../../errors.ts";
import { messageOf } from "../../runtime/log.ts";
import { type Fault, faultOf, type ProviderRefusal, readRefusal, waitSeconds } from "./refusal.ts";
import { isRefusedStatus, type ProviderRequest, saysOnlyError, statusOf } from "./request.ts";

/** Errors of the SDK about what it was given, thrown before a model is called. */
const INVALID_INPUT =
  /^AI_(UnsupportedFunctionality|InvalidPrompt|InvalidArgument|InvalidDataContent|InvalidMessageRole|MessageConversion|MissingToolResults|Download|NoSuchModel)/;

/** Statuses and codes of failures that pass. */
const TRANSIENT = /\b(408|409|429|5\d\d)\b|overload|rate_limit|server_error|unavailable/i;

/** The provider said, in the stream and before it produced anything, that it fails. */
export class ProviderFailure extends Error {
  override readonly name = "ProviderFailure";
  /** Undefined where it names none. */
  readonly status: number | undefined;
  /** The provider's own word for it, such as overloaded_error. */
  readonly code: string | undefined;
  readonly isRetryable: boolean;

  /** `said` is the error as it stands in the stream. */
  constructor(said: unknown) {
    super("The provider failed.", { cause: said });
    const { code, type, isRetryable } = (said ?? {}) as Record<string, unknown>;
    this.status = statusOf(said);
    this.code = [code, type].find((each) => typeof each === "string");
    this.isRetryable =
      typeof isRetryable === "boolean"
        ? isRetryable
        : TRANSIENT.test(`${this.status} ${this.code}`);
  }
}

/** The call took longer than it may. */
export class CallTimeout extends Error {
  override readonly name: string = "CallTimeout";
}

/** One try took longer than it may, and there is another model to ask. */
export class TryTimeout extends CallTimeout {
  override readonly name = "TryTimeout";
}

/** The stream ended, or broke, before anything was produced. */
export class NoOutput extends Error {
  override readonly name = "NoOutput";
}

/**
 * The failure that an `error` part of a stream stands for: the provider's own word, or what went wrong here (an answer
 * that could not be read, a line that was cut), which says nothing of what is billed.
 */
export function streamFailure(error: unknown): unknown {
  if (TypeValidationError.isInstance(error) && saysOnlyError(error.value)) {
    return new ProviderFailure((error.value as { error: unknown }).error);
  }
  if (error instanceof Error) return error;
  const isSaid = error !== undefined && error !== null;
  return isSaid ? new ProviderFailure(error) : new NoOutput("An error without words.");
}

/** Whether a call that failed before it produced anything is known to cost nothing. */
export function chargesNothing(error: unknown, request: ProviderRequest): boolean {
  if (!request.isSent) return true;
  if (error instanceof ProviderFailure) return isRefusedStatus(error.status ?? 500);
  if (!APICallError.isInstance(error) || !isRefusedStatus(error.statusCode ?? 0)) return false;
  // What the SDK finds wrong in an answer of status 200 it gives a status of its own.
  return isRefusedStatus(request.status ?? 0) || saysFailure(error.responseBody);
}

/** Whether an answer, as text or parsed, is the provider's word that it failed, and not one that is billed. */
function saysFailure(body: unknown): boolean {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return /"(error|message)":\s*["{]/.test(text ?? "") && !reportsUsage(text);
}

/** Whether the JSON of a failure has usage in it. */
export function reportsUsage(json: string | undefined): boolean {
  return /"usage(Metadata)?":\s*\{/.test(json ?? "");
}

/** Whether the provider says that trying again may help. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof ProviderFailure) return error.isRetryable;
  return APICallError.isInstance(error) && error.isRetryable;
}

/** Milliseconds to wait before the next try: what the provider asks for, up to ten seconds, else a backoff. */
export function retryDelayMs(error: unknown, retry: number): number {
  const backoff = Math.min(500 * 2 ** retry, 8000);
  const asked = Number(retryAfterOf(error) ?? Number.NaN) * 1000;
  return Number.isFinite(asked) && asked >= 0 ? Math.min(asked, 10_000) : backoff;
}

/** What the SDK found wrong with a call before anything was sent; its words about a prompt are for whoever wrote it. */
export function unsentError(error: unknown): SpendgateError {
  if (!AISDKError.isInstance(error) || APICallError.isInstance(error)) return upstreamError(error);
  return invalidRequest([{ path: "messages", message: messageOf(error) }]);
}

/**
 * The failure as the caller gets it: 400 with the provider's code where the request is to blame, 503 with Retry-After
 * where it is busy, else 502, without what a provider's words may give away.
 */
export function upstreamError(error: unknown): SpendgateError {
  if (error instanceof SpendgateError) return error;
  const refusal = readRefusal(error);
  const fault = faultOf(refusal);
  if (fault === "caller") return refusedRequest(refusal, error);
  const { status, code } = refusal;
  const retryAfter = waitSeconds(refusal);
  return new SpendgateError("upstream_error", failureOf(error, fault), {
    details: {
      upstream: {
        status: status ?? statusSaid(error) ?? null,
        code,
        retryAfter: retryAfterOf(error) ?? null,
      },
      ...(retryAfter !== undefined && { retryAfter }),
    },
    retryAfter,
    status: fault === "busy" ? 503 : undefined,
    mayRetry: fault !== "account",
    cause: error,
  });
}

function failureOf(error: unknown, fault: Fault): string {
  if (error instanceof CallTimeout) return "The model's provider took too long.";
  switch (fault) {
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

/** What the AI SDK throws, as the caller gets it. */
export function callError(error: unknown): SpendgateError {
  if (!AISDKError.isInstance(error)) return toSpendgateError(error);
  return INVALID_INPUT.test(error.name) ? unsentError(error) : upstreamError(error);
}

function statusSaid(error: unknown): number | undefined {
  if (error instanceof ProviderFailure) return error.status;
  return APICallError.isInstance(error) ? error.statusCode : undefined;
}

function retryAfterOf(error: unknown): string | undefined {
  return APICallError.isInstance(error) ? error.responseHeaders?.["retry-after"] : undefined;
}
