// For frontends: any error of Spendgate's, however a client library wraps it, as typed details. Copy this file; it needs
// nothing else.

/** The quota that refused, in dollars. */
export interface QuotaDetails {
  scope: string;
  scopeId: string | null;
  resourceType: string;
  limitUsd: number;
  currentSpendUsd: number;
  estimatedCostUsd: number;
  remainingUsd: number;
  period: string;
  utilizationPercent: number;
}

export interface SpendgateErrorDetails {
  /** `quota_exceeded`, `invalid_request`, `unauthorized`, `upstream_error`, …: docs/reference/errors.md has them all. */
  code: string;
  /** For people to read. */
  message: string;
  /** Of HTTP; undefined where the error came within a stream. */
  status?: number;
  /** Seconds until the same request may succeed; undefined where waiting does not help, or nobody knows. */
  retryAfter?: number;
  /** Why a quota refused: `limit_reached`, `in_flight` or `exceeds_limit`. */
  reason?: string;
  quota?: QuotaDetails;
  /** What is wrong with the request, and where. */
  issues?: { path: string; message: string }[];
  /** What the model's provider answered. */
  upstream?: { status: number | null; code: string | null };
  /** The body as it came, with all that is not above. */
  body: Record<string, unknown>;
}

/**
 * The details of an error of Spendgate's; undefined for any other, such as a network that is down. Takes what useChat
 * gives as `error`, what the AI SDK and the SDKs of OpenAI and Anthropic throw, the text or the JSON of an answer, of a server-sent event, or
 * of a chunk of a stream. For a `Response` use readSpendgateError.
 */
export function spendgateError(error: unknown): SpendgateErrorDetails | undefined {
  return fromUnknown(error, 0);
}

/** The details of an answer that is an error; undefined where it is none of Spendgate's. Reads a copy of the body. */
export async function readSpendgateError(
  response: Response,
): Promise<SpendgateErrorDetails | undefined> {
  const details = fromText(await response.clone().text(), 0);
  return details && withHttp(details, response.status, response.headers.get("retry-after"));
}

/** Errors hold errors: a cause, an inner error of a retry. Nobody nests deeper than this. */
const DEPTH = 6;

function fromUnknown(value: unknown, depth: number): SpendgateErrorDetails | undefined {
  if (depth > DEPTH) return undefined;
  if (typeof value === "string") return fromText(value, depth);
  if (!isObject(value)) return undefined;
  const { responseBody, message, cause, lastError, data, error } = value;
  const found =
    fromBody(value) ??
    // OpenAI's and Anthropic's SDKs: `error` is (in) our body. The AI SDK: `responseBody` is the text.
    fromUnknown(error, depth + 1) ??
    fromUnknown(responseBody, depth + 1) ??
    fromUnknown(data, depth + 1) ??
    // useChat: the message is the text of the answer.
    fromUnknown(message, depth + 1) ??
    fromUnknown(lastError, depth + 1) ??
    fromUnknown(cause, depth + 1);
  return found && withHttp(found, statusIn(value), retryAfterIn(value));
}

function fromText(text: string, depth: number): SpendgateErrorDetails | undefined {
  for (const candidate of [text, ...eventData(text)]) {
    const value = parse(candidate);
    if (isObject(value)) {
      const found = fromUnknown(value, depth + 1);
      if (found) return found;
    }
  }
  return undefined;
}

/** The data of server-sent events. */
function eventData(text: string): string[] {
  return [...text.matchAll(/^data: ?(.*)$/gm)].map(([, data]) => data ?? "");
}

/**
 * `{"error": "<code>", "message": …}`, or OpenAI's `{"message": …, "type": …, "code": "<code>"}`, or Anthropic's
 * `{"type": "error", "error": {"message": …, "code": "<code>"}}`.
 */
function fromBody(body: Record<string, unknown>): SpendgateErrorDetails | undefined {
  const { error, message, type, param } = body;
  if (type === "error" && isObject(error) && typeof error.message === "string") {
    // Anthropic's own errors have no code.
    return typeof error.code === "string" ? details(error.code, error) : undefined;
  }
  if (typeof message !== "string") return undefined;
  if (typeof error === "string") return details(error, body);
  const isOpenAI = typeof type === "string" && typeof body.code === "string" && param !== undefined;
  // An Error has a message and may have a code; the body of ours is a plain object.
  return isOpenAI && !(body instanceof Error) ? details(body.code as string, body) : undefined;
}

function details(code: string, body: Record<string, unknown>): SpendgateErrorDetails {
  const { message, retryAfter, reason, quotaDetails, issues, upstream } = body;
  return {
    code,
    message: message as string,
    ...(typeof retryAfter === "number" && { retryAfter }),
    ...(typeof reason === "string" && { reason }),
    ...(isObject(quotaDetails) && { quota: quotaDetails as unknown as QuotaDetails }),
    ...(Array.isArray(issues) && { issues }),
    ...(isObject(upstream) && { upstream: upstream as SpendgateErrorDetails["upstream"] }),
    body,
  };
}

function withHttp(
  found: SpendgateErrorDetails,
  status: number | undefined,
  retryAfter: string | null | undefined,
): SpendgateErrorDetails {
  const seconds = Number(retryAfter || Number.NaN);
  return {
    ...found,
    ...(found.status === undefined && status !== undefined && { status }),
    ...(found.retryAfter === undefined && Number.isFinite(seconds) && { retryAfter: seconds }),
  };
}

function statusIn({ status, statusCode }: Record<string, unknown>): number | undefined {
  const found = statusCode ?? status;
  return typeof found === "number" ? found : undefined;
}

function retryAfterIn({ headers, responseHeaders }: Record<string, unknown>) {
  const found = headers ?? responseHeaders;
  if (!isObject(found)) return undefined;
  if (typeof found.get === "function") return (found as unknown as Headers).get("retry-after");
  const value = found["retry-after"];
  return typeof value === "string" ? value : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
