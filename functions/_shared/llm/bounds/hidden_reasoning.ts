// Which models may produce what nobody sees. What came of their stream says little of what is billed.
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import type { Product } from "../model_name.ts";

/** Models that do not reason, of the providers' own model pages. Any other may: unknown is not zero. */
const NEVER_REASON = [
  /^openai\/(ft:)?(gpt-3\.5|gpt-4|chatgpt-4o)/,
  /^google\/(gemini-(1\.|2\.0-flash(?!-thinking))|gemma-)/,
  // Open models, whoever serves them.
  /\/(meta-)?llama-?[1-4]/i,
  /\/(mistral-(small|medium-3(?!\.)|large|nemo|7b)|open-mi[sx]tral|mi[sx]tral-8x|ministral|codestral|pixtral)/i,
  /\/(gemma|qwen-?2\.5|deepseek-(chat|v3)(?!.*(think|reason))|grok-(2|3(?!-mini))|command-r)/i,
  /\/sonar(-pro)?$/i,
];
/** Claude thinks where it is asked to; newer generations may by themselves. */
const THINKS_IF_ASKED = /^anthropic\/claude-(2|3|instant|(opus|sonnet|haiku)-4)/;

/** Whether the call may be billed for reasoning that its stream does not show, or shows a summary of. */
export function mayReasonUnseen(
  { provider, model }: Product,
  { reasoning, providerOptions }: LanguageModelV4CallOptions,
): boolean {
  const name = `${provider}/${model}`;
  const isAsked =
    (reasoning !== undefined && reasoning !== "provider-default" && reasoning !== "none") ||
    isThinking(providerOptions?.anthropic?.thinking);
  if (THINKS_IF_ASKED.test(name)) return isAsked;
  return !NEVER_REASON.some((pattern) => pattern.test(name));
}

function isThinking(thinking: unknown): boolean {
  return thinking !== undefined && (thinking as { type?: string } | null)?.type !== "disabled";
}
