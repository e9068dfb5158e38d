// Errors in Anthropic's shape, so that its SDKs throw their own exception classes.
import type { Issue, SpendgateError } from "../_shared/errors.ts";
import { codeOf } from "../_shared/http/error_response.ts";
import { shouldRetryHeader } from "../_shared/http/should_retry.ts";
import { requestScope } from "../_shared/runtime/telemetry/context.ts";

const TYPES: Record<number, string> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  413: "request_too_large",
  429: "rate_limit_error",
  529: "overloaded_error",
};

/** Where Anthropic has a status of its own for what HTTP has 503 for: the provider is busy. */
function statusOf({ code, status }: SpendgateError): number {
  return code === "upstream_error" && status === 503 ? 529 : status;
}

/** Its SDK's tool runner asks for a thread first, and by this word goes on without. */
const NO_THREADS = { error_code: "thread_unsupported_request", unsupported: [] };

export function toAnthropicError(error: SpendgateError) {
  const status = statusOf(error);
  const { issues = [] } = error.details as { issues?: Issue[] };
  return {
    type: "error",
    error: {
      type: TYPES[status] ?? (status >= 500 ? "api_error" : "invalid_request_error"),
      message: error.words ?? error.message,
      code: codeOf(error),
      ...error.details,
      ...(issues.some(({ path }) => path === "thread") && { details: NO_THREADS }),
    },
    request_id: requestScope()?.facts.requestId ?? null,
  };
}

export function anthropicErrorResponse(error: SpendgateError): Response {
  return Response.json(toAnthropicError(error), {
    status: statusOf(error),
    headers: { ...error.headers, ...shouldRetryHeader(error), ...requestIdHeader() },
  });
}

/** What its clients show when they report a problem. */
export function requestIdHeader(): Record<string, string> {
  const id = requestScope()?.facts.requestId;
  return id === undefined ? {} : { "request-id": id };
}
