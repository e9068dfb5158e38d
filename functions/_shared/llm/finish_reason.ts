// How an answer ended, in OpenAI's words.
import type { LanguageModelV4FinishReason, LanguageModelV4GenerateResult } from "@ai-sdk/provider";
import { SpendgateError } from "../errors.ts";

/** Names that only some providers have for an end that is none. */
const FAILURES = /error|malformed|insufficient_system_resource|abort|cancel|fail|overload/i;
const STOPS = /^(eos|eos_token|stop_sequence|end_turn|complete|completed)$/i;
const FILTERS = /^(sensitive|safety|blocked|moderation)$/i;

/** `other` stands for what OpenAI has no word for: the answer is there, and did not just stop. */
export type FinishReason = "stop" | "length" | "content_filter" | "tool_calls" | "other";

/**
 * The reason that the provider gave.
 * @throws SpendgateError upstream_error when it gave none, or said that it failed: what came is no answer.
 */
export function toFinishReason({ unified, raw }: LanguageModelV4FinishReason): FinishReason {
  switch (unified) {
    case "stop":
      return "stop";
    case "length":
      return "length";
    case "content-filter":
      return "content_filter";
    case "tool-calls":
      return "tool_calls";
    default:
      return unusualReason(unified, raw);
  }
}

/**
 * The same of an answer that came whole. Some providers do not say: then it did as it was asked to.
 * @throws SpendgateError upstream_error
 */
export function toWholeFinishReason({
  finishReason,
  content,
}: Pick<LanguageModelV4GenerateResult, "finishReason" | "content">): FinishReason {
  if (finishReason.unified === "other" && finishReason.raw === undefined) {
    return content.some((part) => part.type === "tool-call") ? "tool_calls" : "stop";
  }
  return toFinishReason(finishReason);
}

function unusualReason(unified: string, raw: string | undefined): FinishReason {
  if (raw !== undefined && unified === "other") {
    if (STOPS.test(raw)) return "stop";
    if (FILTERS.test(raw)) return "content_filter";
    if (!FAILURES.test(raw)) return "other";
  }
  throw brokenAnswer(raw);
}

/** The call is booked: to send it again costs again, so no client should do so by itself. */
export function brokenAnswer(raw?: string): SpendgateError {
  const code = raw !== undefined && /^\w{1,64}$/.test(raw) ? raw : null;
  return new SpendgateError("upstream_error", "The model's answer broke off before its end.", {
    details: { upstream: { status: null, code, retryAfter: null } },
    mayRetry: false,
  });
}
