// Parts of the AI SDK's answers in OpenAI's wire format.
import type {
  LanguageModelV4Content,
  LanguageModelV4File,
  LanguageModelV4Usage,
  SharedV4Warning,
} from "@ai-sdk/provider";
import { rawImageUrls, toBase64 } from "../_shared/llm/images.ts";
import { toArguments } from "../_shared/llm/tool_arguments.ts";
import { headersOfWarnings } from "../_shared/llm/warnings.ts";
import type { Call } from "./call_options.ts";

/** An assistant's message. A provider's own tools are its own: their calls are not for the client to answer. */
export function toMessage(content: LanguageModelV4Content[], images: Image[]) {
  const text = content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");
  const reasoning = content.flatMap((part) => (part.type === "reasoning" ? [part.text] : []));
  const calls = content.flatMap((part) =>
    part.type === "tool-call" && !part.providerExecuted ? [part] : [],
  );
  const shown = [...imagesOf(content), ...images].map((image, index) => ({ ...image, index }));
  return {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    refusal: null,
    ...(reasoning.length > 0 && { reasoning_content: reasoning.join("") }),
    ...(shown.length > 0 && { images: shown }),
    ...(calls.length > 0 && {
      tool_calls: calls.map((call) => ({
        id: call.toolCallId,
        type: "function",
        function: { name: call.toolName, arguments: toArguments(call.input) },
      })),
    }),
  };
}

/** An image in an answer, as OpenRouter's clients know it: OpenAI's own format has none. */
export interface Image {
  type: "image_url";
  image_url: { url: string };
}

export function toImage({ mediaType, data }: LanguageModelV4File): Image {
  const url =
    data.type === "url" ? data.url.href : `data:${mediaType};base64,${toBase64(data.data)}`;
  return { type: "image_url", image_url: { url } };
}

function imagesOf(content: LanguageModelV4Content[]): Image[] {
  return content.flatMap((part) => (part.type === "file" ? [toImage(part)] : []));
}

/** The images of a compatible provider's own answer, whole or a chunk of it. */
export function rawImages(body: unknown): Image[] {
  return rawImageUrls(body).map((url) => ({ type: "image_url", image_url: { url } }));
}

/** Null where the provider did not say: unknown is not zero. A prompt has tokens, so none is unknown too. */
export function toOpenAIUsage({ inputTokens, outputTokens }: LanguageModelV4Usage) {
  const { total: input } = inputTokens;
  const { total: output } = outputTokens;
  if (!input || output === undefined) return null;
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: inputTokens.cacheRead ?? 0 },
    completion_tokens_details: { reasoning_tokens: outputTokens.reasoning ?? 0 },
  };
}

/** What the AI SDK calls otherwise than OpenAI. */
const FIELDS: Record<string, string> = {
  stopSequences: "stop",
  maxOutputTokens: "max_tokens",
  reasoning: "reasoning_effort",
  "providerOptions.anthropic.disableParallelToolUse": "parallel_tool_calls",
};

/** `x-spendgate-warnings`, in the names of the request's own format. */
export function warningHeaders(warnings: SharedV4Warning[], { ignored, names }: Call) {
  return headersOfWarnings(warnings, ignored, { ...FIELDS, ...names });
}
