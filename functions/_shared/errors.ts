// The one error type of the functions. It imports nothing: everything may throw it.

export type ErrorCode =
  | "invalid_request"
  | "unauthorized"
  | "not_a_member"
  | "not_your_sandbox"
  | "tenant_closed"
  | "not_found"
  | "method_not_allowed"
  | "idempotency_conflict"
  | "sandbox_busy"
  | "request_timeout"
  | "sandbox_life_ends"
  | "request_too_large"
  | "unpriced_product"
  | "quota_exceeded"
  | "upstream_error"
  | "quota_unavailable"
  | "not_configured"
  | "internal_error";

const STATUS: Record<ErrorCode, number> = {
  invalid_request: 400,
  unauthorized: 401,
  not_a_member: 403,
  not_your_sandbox: 403,
  tenant_closed: 403,
  not_found: 404,
  method_not_allowed: 405,
  idempotency_conflict: 409,
  sandbox_busy: 409,
  request_timeout: 408,
  sandbox_life_ends: 409,
  request_too_large: 413,
  unpriced_product: 422,
  quota_exceeded: 429,
  upstream_error: 502,
  quota_unavailable: 503,
  not_configured: 503,
  internal_error: 500,
};

export interface ErrorOptions {
  /** Goes into the body beside `error` and `message`. */
  details?: Record<string, unknown>;
  /** Seconds until trying again makes sense; becomes `Retry-After`. */
  retryAfter?: number;
  /** Headers of the answer, beside those that every error has. */
  headers?: Record<string, string>;
  cause?: unknown;
  /** What the caller reads in the message's place. It may repeat what the caller wrote: never for a log. */
  words?: string;
  /** Where the code's own status says less. */
  status?: number;
  /** False: the same request fails again, whenever it is sent. */
  mayRetry?: boolean;
  /** The quota that refused: for the log, not for the body. */
  quotaId?: number;
}

export class SpendgateError extends Error {
  readonly status: number;
  readonly details: Record<string, unknown>;
  readonly retryAfter?: number;
  readonly headers: Record<string, string>;
  readonly words?: string;
  readonly mayRetry: boolean;
  readonly quotaId?: number;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: ErrorOptions = {},
  ) {
    super(message, { cause: options.cause });
    this.name = "SpendgateError";
    this.status = options.status ?? STATUS[code];
    this.details = options.details ?? {};
    this.retryAfter = options.retryAfter;
    this.headers = options.headers ?? {};
    this.words = options.words;
    this.mayRetry = options.mayRetry ?? this.status >= 500;
    this.quotaId = options.quotaId;
    if (this.retryAfter !== undefined) this.headers["Retry-After"] = String(this.retryAfter);
  }

  /** The body of the answer. */
  toJSON(): Record<string, unknown> {
    return { error: this.code, message: this.words ?? this.message, ...this.details };
  }
}

export interface Issue {
  path: string;
  message: string;
}

export function invalidRequest(issues: Issue[]): SpendgateError {
  const [first] = issues;
  const where = first?.path ? `${first.path}: ` : "";
  return new SpendgateError("invalid_request", `${where}${first?.message ?? "Invalid request."}`, {
    details: { issues },
  });
}

/** What a caller may know of any error: of one that is not ours, nothing. */
export function toSpendgateError(error: unknown): SpendgateError {
  if (error instanceof SpendgateError) return error;
  return new SpendgateError("internal_error", "Something went wrong here.", { cause: error });
}
