// What a failure of E2B, or of the interpreter in a sandbox, means for the caller: try again, and when, or never.
import { AsyncLocalStorage } from "node:async_hooks";
import { SpendgateError } from "../errors.ts";
import { redact } from "../runtime/redact.ts";
import { parseRetryAfter } from "../runtime/retry_after.ts";
import { BrokenLine } from "./run_lines.ts";

/** The interpreter, or what stands before it, said no. */
export class InterpreterRefusal extends Error {
  override readonly name = "InterpreterRefusal";

  constructor(
    readonly statusCode: number,
    /** Its words: for the caller, never for a log. */
    readonly words: string,
    readonly retryAfter: string | null = null,
  ) {
    super("The interpreter refused.");
  }
}

/** The interpreter did not answer within its time. */
export class InterpreterTimeout extends Error {
  override readonly name = "InterpreterTimeout";
}

/** What E2B said of a call that failed; null is what it did not say. */
interface Said {
  /** Of HTTP. */
  status: number | null;
  /** Its words, without keys: for the caller, never for a log. */
  message: string | null;
}

const RATE_LIMIT_SECONDS = 10;
const BUSY_SECONDS = 5;
const WORDS_LENGTH = 300;

/** What its SDK puts before E2B's own words. */
const SDK_WORDS =
  /^(\d{3}: |Unauthorized, please check your credentials\.( - )?|Rate limit exceeded, please try again later( - )?|Service temporarily unavailable, please retry( - )?)/;

/** Retry-After of what E2B answered last in a stage: its SDK does not pass it on. */
const waits = new AsyncLocalStorage<{ retryAfter?: number }>();

/** Does work whose failures may ask to wait. */
export function withRetryAfter<T>(work: () => Promise<T>): Promise<T> {
  return waits.run({}, work);
}

/** Notes what an answer says of waiting, for the stage in which it was asked for. */
export function noteRetryAfter({ headers }: Response): void {
  const store = waits.getStore();
  if (store) store.retryAfter = parseRetryAfter(headers.get("retry-after")) ?? undefined;
}

/**
 * The failure as the caller gets it: `not_configured` where E2B will never take it (its key, its account, the template, a
 * time-out beyond its plan), else `upstream_error`, with Retry-After where E2B is busy.
 */
export function sandboxError(error: unknown): SpendgateError {
  if (error instanceof SpendgateError) return error;
  const said = read(error);
  const isInside = error instanceof InterpreterRefusal;
  const asked = isInside ? parseRetryAfter(error.retryAfter) : waits.getStore()?.retryAfter;
  const retryAfter = waitSeconds(said, asked ?? undefined);
  const isForGood = !isInside && [400, 401, 403, 404].includes(said.status ?? 0);
  return new SpendgateError(
    isForGood ? "not_configured" : "upstream_error",
    isForGood ? refusalMessage(said) : failureMessage(error, said),
    {
      details: {
        ...(said.status !== null && { upstream: { ...said, retryAfter: retryAfter ?? null } }),
        ...(retryAfter !== undefined && { retryAfter }),
      },
      retryAfter,
      mayRetry: !isForGood,
      cause: error,
    },
  );
}

function refusalMessage({ status, message }: Said): string {
  const words = message ? `: ${message}` : ".";
  switch (status) {
    case 401:
      return "The sandbox service does not accept this project's key.";
    case 403:
      return `The sandbox service refuses this project's account${words}`;
    case 404:
      return `The sandbox service does not know what it was asked for${words}`;
    default:
      return `The sandbox service does not take this${words}`;
  }
}

function failureMessage(error: unknown, { status, message }: Said): string {
  const words = message ? `: ${message}` : ".";
  if (status === 429) return `The sandbox service is at its limit${words}`;
  if (status === 503) return `The sandbox service is busy${words}`;
  if (error instanceof BrokenLine) return "The answer of the sandbox's interpreter is broken.";
  if (error instanceof InterpreterTimeout) return "The sandbox's interpreter does not answer.";
  if (error instanceof InterpreterRefusal) return `The sandbox did not run the code${words}`;
  if (isNamed(error, "TimeoutError")) return "The sandbox service took too long.";
  return "The sandbox service failed.";
}

/** Seconds until E2B takes the same again; undefined where waiting does not help, or nobody knows. */
function waitSeconds({ status }: Said, asked: number | undefined): number | undefined {
  if (status === null || ![429, 500, 502, 503, 504].includes(status)) return undefined;
  if (status === 429) return asked ?? RATE_LIMIT_SECONDS;
  return asked ?? (status === 503 ? BUSY_SECONDS : undefined);
}

function read(error: unknown): Said {
  if (error instanceof InterpreterRefusal) {
    return { status: error.statusCode, message: oneLine(sentenceIn(error.words)) };
  }
  const status = statusOf(error);
  if (status === null || !(error instanceof Error)) return { status: null, message: null };
  const words = error.message.replace(SDK_WORDS, "");
  // Of its key, and of what breaks inside it, its words say too much.
  return { status, message: status === 401 || status >= 500 ? null : oneLine(words) };
}

/** The HTTP status of E2B's answer that an error of its SDK stands for; null for any other. */
export function statusOf(error: unknown): number | null {
  if (isNamed(error, "AuthenticationError")) return 401;
  const { statusCode } = (error ?? {}) as { statusCode?: unknown };
  if (typeof statusCode === "number") return statusCode;
  return isNamed(error, "NotFoundError") || isNamed(error, "SandboxNotFoundError") ? 404 : null;
}

/** Statuses that a gateway answers when it has waited for long enough: what it sent on may be done all the same. */
const MAY_BE_DONE = [408, 425, 499];

/** Whether E2B said no: then nothing was done. */
export function isE2bRefusal(error: unknown): boolean {
  const status = statusOf(error) ?? 0;
  return (
    isNamed(error, "RateLimitError") ||
    isNamed(error, "InvalidArgumentError") ||
    (status >= 400 && status < 500 && !MAY_BE_DONE.includes(status))
  );
}

export function isNotFound(error: unknown): boolean {
  return statusOf(error) === 404;
}

/** E2B does not have it, or is killing it. */
export function isGone(error: unknown): boolean {
  return [404, 409, 410].includes(statusOf(error) ?? 0);
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}

/** `{"message": …}` as E2B's proxy says it, or the text of the interpreter. */
function sentenceIn(body: string): string {
  try {
    const { message, detail } = JSON.parse(body);
    return String(message ?? detail ?? "");
  } catch {
    return body;
  }
}

/** The words in one line; null for a page, or for nothing. */
function oneLine(words: string): string | null {
  if (/[<>]|\[object /.test(words)) return null;
  return redact(words.replace(/\s+/g, " ").trim(), WORDS_LENGTH) || null;
}
