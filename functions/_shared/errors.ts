// The one error type of the functions, and the one place that turns it into an answer.
import type { QuotaDetails, ReserveAnswer } from "./gate.ts";
import { rateLimitHeaders } from "./rate_limit.ts";

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

/** The refusal of a call: 429, naming the quota that refused. */
export function quotaExceeded(resourceType: "llm" | "e2b", answer: ReserveAnswer): SpendgateError {
  return new SpendgateError("quota_exceeded", answer.message ?? "The quota is used up.", {
    details: {
      resourceType,
      reason: answer.reason,
      quotaDetails: answer.quota && describeQuota(answer.quota),
      retryAfter: answer.retry_after,
    },
    retryAfter: answer.retry_after ?? undefined,
    headers: rateLimitHeaders(answer.quota ? [answer.quota] : []),
    quotaId: answer.quota?.quota_id,
  });
}

function describeQuota(quota: QuotaDetails) {
  return {
    scope: quota.scope,
    scopeId: quota.scope_id,
    resourceType: quota.resource_type,
    limitUsd: quota.limit_usd,
    currentSpendUsd: quota.current_spend_usd,
    estimatedCostUsd: quota.estimated_cost_usd,
    remainingUsd: quota.remaining_usd,
    period: quota.period,
    utilizationPercent: quota.utilization_percent,
  };
}

/** What a caller may know of any error: of one that is not ours, nothing. */
export function toSpendgateError(error: unknown): SpendgateError {
  if (error instanceof SpendgateError) return error;
  return new SpendgateError("internal_error", "Something went wrong here.", { cause: error });
}

/** Whether a caller reads server-sent events and nothing else, as `fetch-event-source` says; useChat takes all. */
export function acceptsOnlyEvents(request: Request): boolean {
  const accepted = (request.headers.get("accept") ?? "").split(",").map((type) => type.trim());
  return accepted.every((type) => /^text\/event-stream\b/i.test(type));
}

/** JSON, or the same as server-sent events. */
export function errorResponse(error: SpendgateError, format: "json" | "sse"): Response {
  const headers = new Headers(error.headers);
  const body = JSON.stringify(error);
  if (format === "json") {
    headers.set("Content-Type", "application/json");
    return new Response(body, { status: error.status, headers });
  }
  headers.set("Content-Type", "text/event-stream");
  headers.set("Cache-Control", "no-cache");
  return new Response(
    `event: error\ndata: ${body}\n\nevent: done\ndata: ${JSON.stringify({ status: error.code })}\n\n`,
    { status: error.status, headers },
  );
}
