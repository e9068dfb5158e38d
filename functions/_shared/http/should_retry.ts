// Whether the providers' own SDKs should try again by themselves.
import type { SpendgateError } from "../errors.ts";

/** Seconds that the SDKs of OpenAI and Anthropic are ready to wait before they try again. */
const SDK_PATIENCE_SECONDS = 60;

/** They try again after 408, 409, 429 and 5xx, which changes nothing while a month's quota is used up. */
export function shouldRetryHeader(error: SpendgateError): Record<string, string> {
  // A refusal says when; a failure need not.
  const wait = error.retryAfter ?? (error.code === "quota_exceeded" ? Infinity : 0);
  const mayHelp = error.mayRetry || error.code === "quota_exceeded";
  return { "x-should-retry": String(mayHelp && wait <= SDK_PATIENCE_SECONDS) };
}
