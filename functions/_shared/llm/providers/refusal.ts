// Whose fault a provider's refusal is, and what of it the caller is told.
import { APICallError } from "@ai-sdk/provider";
import { redact } from "../../runtime/redact.ts";
import { parseRetryAfter } from "../../runtime/retry_after.ts";

/** What a provider said when it refused; null is what it did not say. */
export interface ProviderRefusal {
  /** Of HTTP; of a refusal in a stream, the status that its type stands for. */
  status: number | null;
  /** Its own short name for what is wrong, such as `context_length_exceeded`. */
  code: string | null;
  /** The field of its request that is wrong. */
  param: string | null;
  /** Its words, without keys and account names. They may repeat the prompt: for the caller alone, never for a log. */
  words: string | null;
  /** Seconds until it may be asked again. */
  retryAfter: number | null;
}

/**
 * `caller`: the request is one that it does not take, however often it is sent. `account`: it refuses whoever runs this
 * project: key, credit, permission. `busy`: it takes the same request later. `provider`: everything else.
 */
export type Fault = "caller" | "account" | "busy" | "provider";

/** What errors in a stream are called, and the status that the same error has as an answer. */
const STATUS_OF_TYPE: Record<string, number> = {
  invalid_request_error: 400,
  INVALID_ARGUMENT: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  insufficient_quota: 429,
  overloaded_error: 529,
};

const CALLERS = new Set([400, 404, 413, 415, 422]);
const ACCOUNTS = new Set([401, 402, 403]);
const BUSY = new Set([429, 503, 529]);

const ACCOUNT_CODES =
  /insufficient_(quota|balance|credits?|funds)|billing|exceeded_current_quota|arrears|invalid_api_key|API_KEY_INVALID|API_KEY_EXPIRED|account_deactivated|FAILED_PRECONDITION/i;
/** Some providers answer 400 where others answer 401 or 402; a code does not say which it is. */
const ACCOUNT_WORDS = /^(your credit balance|API key (not valid|expired)|incorrect API key)/i;

/** What is the provider's own, whatever status it has. */
const SERVER_CODES = /^(server_error|api_error|internal(_server)?_error|INTERNAL)$/i;

const TOO_LONG =
  /prompt is too long|maximum context length|context length|context window|input token count .* exceeds|too many tokens in/i;

/** Seconds to wait where a provider that is busy does not say. */
const BUSY_SECONDS = 5;
const WORDS_LENGTH = 500;

/** Reads a refusal from whatever the AI SDK throws, or puts into its stream. */
export function readRefusal(error: unknown): ProviderRefusal {
  const answer = APICallError.isInstance(error) ? error : undefined;
  if (answer === undefined && error instanceof Error) {
    // An error of the SDK's own has words of the SDK's own; the provider's are in what caused it.
    return readRefusal(error.cause ?? (error as { data?: unknown }).data);
  }
  const body = errorIn(answer ? parse(answer.responseBody) : error);
  const type = name(body.type) ?? name(body.status);
  const code = name(body.code) ?? reasonIn(body) ?? type;
  const status =
    answer?.statusCode ??
    count(body.statusCode) ??
    count(body.code) ??
    statusOf(code) ??
    statusOf(type);
  const words = text(body.message);
  return {
    status,
    code: wellKnown(code, status, words),
    param: name(body.param),
    words: words && redact(words, WORDS_LENGTH),
    retryAfter: parseRetryAfter(answer?.responseHeaders?.["retry-after"]) ?? retryDelayIn(body),
  };
}

export function faultOf({ status, code, words }: ProviderRefusal): Fault {
  if (status === null || status < 400) return "provider";
  if (code === "content_policy_violation") return "caller";
  if (ACCOUNTS.has(status)) return "account";
  if (status < 500 && (ACCOUNT_CODES.test(code ?? "") || ACCOUNT_WORDS.test(words ?? ""))) {
    return "account";
  }
  if (BUSY.has(status)) return "busy";
  // A page that is not there, and says nothing of a model, is a wrong address: not the caller's.
  if (status === 404 && words === null) return "provider";
  return CALLERS.has(status) && !SERVER_CODES.test(code ?? "") ? "caller" : "provider";
}

/** Seconds after which the same request may be taken; undefined where time alone does not mend it. */
export function waitSeconds(refusal: ProviderRefusal): number | undefined {
  if (faultOf(refusal) === "busy") return refusal.retryAfter ?? BUSY_SECONDS;
  return faultOf(refusal) === "provider" ? (refusal.retryAfter ?? undefined) : undefined;
}

/** `{error: {…}}` as most say it, `{error: "…"}`, `{detail: …}`, a bare object, or the first of a list of these. */
function errorIn(value: unknown): Record<string, unknown> {
  const [first] = Array.isArray(value) ? value : [value];
  if (!isObject(first)) return {};
  const { error = first } = first;
  if (typeof error === "string") return { ...first, message: first.message ?? error };
  if (!isObject(error)) return {};
  if (error.message !== undefined || error.detail === undefined) return error;
  const { detail } = error;
  return { ...error, message: typeof detail === "string" ? detail : JSON.stringify(detail) };
}

/** One name for what providers name, or describe, differently. */
function wellKnown(code: string | null, status: number | null, words: string | null) {
  if (TOO_LONG.test(words ?? "") && status !== 429) return "context_length_exceeded";
  if (status === 404 && words !== null) return "model_not_found";
  if (status === 403 && /flagged|moderation/i.test(words ?? "")) return "content_policy_violation";
  return code;
}

/** Google's `details`: why it refuses, in one word. */
function reasonIn({ details }: Record<string, unknown>): string | null {
  return name(listed(details).find((detail) => detail.reason !== undefined)?.reason);
}

/** Google's `details`: how long to wait, as `"34.5s"`. */
function retryDelayIn({ details }: Record<string, unknown>): number | null {
  const delay = text(
    listed(details).find(({ retryDelay }) => retryDelay !== undefined)?.retryDelay,
  );
  return parseRetryAfter(delay?.replace(/s$/, ""));
}

function statusOf(type: string | null): number | null {
  return STATUS_OF_TYPE[type ?? ""] ?? null;
}

function parse(body: string | undefined): unknown {
  try {
    return JSON.parse(body ?? "");
  } catch {
    return undefined;
  }
}

function listed(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** A short name, as codes and fields have; what is longer may be anything. */
function name(value: unknown): string | null {
  return typeof value === "string" && /^[\w.[\]-]{1,100}$/.test(value) ? value : null;
}

function count(value: unknown): number | null {
  const status = typeof value === "string" ? Number(value) : value;
  return typeof status === "number" && status >= 400 && status < 600 ? status : null;
}
