// Errors in OpenAI's shape, so that its SDKs throw their own exception classes.
import type { ErrorCode, SpendgateError } from "../_shared/errors.ts";
import { codeOf } from "../_shared/http/error_response.ts";
import { shouldRetryHeader } from "../_shared/http/should_retry.ts";

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

export function toOpenAIError(error: SpendgateError) {
  const { issues } = error.details as { issues?: { path: string }[] };
  return {
    error: {
      message: error.words ?? error.message,
      type: TYPES[error.code] ?? "invalid_request_error",
      param: issues?.[0]?.path || null,
      code: codeOf(error),
      ...error.details,
    },
  };
}

export function openAIErrorResponse(error: SpendgateError): Response {
  return Response.json(toOpenAIError(error), {
    status: error.status,
    headers: { ...error.headers, ...shouldRetryHeader(error) },
  });
}
