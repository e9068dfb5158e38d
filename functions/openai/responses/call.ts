// A response's request as a call of the AI SDK: what it has in common with a chat completion goes the same way.
import type { Product } from "../../_shared/llm/model_name.ts";
import type { Call, CallSettings } from "../call_options.ts";
import { toOptions } from "../call_options.ts";
import { toPrompt } from "./prompt.ts";
import type { ResponseRequest } from "./request.ts";

/** Fields that this format calls otherwise than chat completions, and than the AI SDK. */
const NAMES: Record<string, string> = {
  maxOutputTokens: "max_output_tokens",
  reasoning: "reasoning.effort",
  verbosity: "text.verbosity",
  responseFormat: "text.format",
};

/** @throws SpendgateError invalid_request for an item that no model could be sent. */
export async function toCall(body: ResponseRequest, product: Product): Promise<Call> {
  const unnamed = new Set<string>();
  const options = {
    prompt: await toPrompt(body, product, unnamed),
    ...toOptions(toSettings(body), product.provider, unnamed),
  };
  const ignored = new Set([...unnamed].map((field) => NAMES[field] ?? field));
  return { options, ignored, names: NAMES };
}

function toSettings({
  max_output_tokens,
  tools,
  tool_choice: choice,
  text,
  reasoning,
  truncation,
  ...same
}: ResponseRequest): CallSettings {
  return {
    temperature: same.temperature,
    top_p: same.top_p,
    parallel_tool_calls: same.parallel_tool_calls,
    user: same.user,
    safety_identifier: same.safety_identifier,
    prompt_cache_key: same.prompt_cache_key,
    metadata: same.metadata,
    max_completion_tokens: max_output_tokens,
    tools: tools?.map(({ type, ...definition }) => ({ type, function: definition })),
    tool_choice:
      typeof choice === "object" && choice !== null
        ? { type: choice.type, function: { name: choice.name } }
        : choice,
    response_format: toResponseFormat(text?.format),
    reasoning_effort: reasoning?.effort,
    reasoning_summary: reasoning?.summary ?? "none",
    verbosity: text?.verbosity,
    truncation: truncation === "auto" ? truncation : undefined,
  };
}

function toResponseFormat(
  format: NonNullable<ResponseRequest["text"]>["format"],
): CallSettings["response_format"] {
  if (format?.type !== "json_schema") return format;
  const { type, ...json_schema } = format;
  return { type, json_schema };
}
