// Errors in OpenAI's shape, so that its SDKs throw their own exception classes.
import type { ErrorCode, SpendgateError } from "../_shared/errors.ts";

const TYPES: Partial<Record<ErrorCode, string>> = {
  unauthorized: "authentication_error",
  not_a_member: "permission_error",
  tenant_closed: "permission_error",
  idempotency_conflict: "idempotency_error",
  quota_exceeded: "quota_exceeded",
  upstream_error: "api_error",
  quota_unavailable: "api_error",
  internal_error: "api_error",
};

/** Seconds that OpenAI's SDKs are ready to wait before they try again by themselves. */
const SDK_PATIENCE_SECONDS = 60;

export function toOpenAIError(error: SpendgateError) {
  const issues = error.details.issues as { path: string }[] | undefined;
  return {
    error: {
      message: error.message,
      type: TYPES[error.code] ?? "invalid_request_error",
      param: issues?.[0]?.path || null,
      code: error.code,
      ...error.details,
    },
  };
}

export function openAIErrorResponse(error: SpendgateError): Response {
  const mayHelpSoon =
    error.status >= 500 ||
    (error.code === "quota_exceeded" && (error.retryAfter ?? Infinity) <= SDK_PATIENCE_SECONDS);
  return Response.json(toOpenAIError(error), {
    status: error.status,
    // Its SDKs try again after 409, 429 and 5xx, which changes nothing while a month's quota is used up.
    headers: { ...error.headers, "x-should-retry": String(mayHelpSoon) },
  });
}
