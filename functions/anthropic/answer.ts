// Parts of the AI SDK's answers in Anthropic's wire format.
import type {
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4Usage,
  SharedV4ProviderMetadata,
  SharedV4Warning,
} from "@ai-sdk/provider";
import type { Receipt } from "../_shared/gate/receipt.ts";
import { parseDataUrl } from "../_shared/llm/bounds/file_url.ts";
import type { FinishReason } from "../_shared/llm/finish_reason.ts";
import { toBase64 } from "../_shared/llm/images.ts";
import { readArguments } from "../_shared/llm/tool_arguments.ts";
import { headersOfWarnings } from "../_shared/llm/warnings.ts";

/** The kind of block that a reasoning is. */
export function reasoningBlock(text: string, metadata: SharedV4ProviderMetadata | undefined) {
  const { redactedData, signature } = { ...metadata?.anthropic };
  if (typeof redactedData === "string") return { type: "redacted_thinking", data: redactedData };
  return {
    type: "thinking",
    thinking: text,
    signature: typeof signature === "string" ? signature : "",
  };
}

export function textBlock(text: string) {
  return { type: "text", text, citations: null };
}

export function toolBlock(id: string, name: string, input: unknown) {
  return { type: "tool_use", id, name, input, caller: { type: "direct" } };
}

/** An image that a model drew, as a request has one: answers of Anthropic's own have none. */
export type ImageBlock = ReturnType<typeof imageBlock>;

export function imageBlock(url: string) {
  const file = parseDataUrl(url);
  return {
    type: "image",
    source: file
      ? { type: "base64", media_type: file.mediaType, data: file.data }
      : { type: "url", url },
  };
}

export function fileBlock({
  mediaType,
  data,
}: Extract<LanguageModelV4Content, { type: "file" }>): ImageBlock {
  return imageBlock(
    data.type === "url" ? data.url.href : `data:${mediaType};base64,${toBase64(data.data)}`,
  );
}

/** The blocks of an answer. A provider's own tools are its own: their calls are not for the client to answer. */
export async function toBlocks(content: LanguageModelV4Content[], imageUrls: string[]) {
  const blocks: object[] = [];
  for (const part of content) {
    if (part.type === "text" && part.text !== "") blocks.push(textBlock(part.text));
    if (part.type === "reasoning") blocks.push(reasoningBlock(part.text, part.providerMetadata));
    if (part.type === "file") blocks.push(fileBlock(part));
    if (part.type === "tool-call" && !part.providerExecuted) {
      blocks.push(toolBlock(part.toolCallId, part.toolName, await readArguments(part.input)));
    }
  }
  return [...blocks, ...imageUrls.map(imageBlock)];
}

/** What every message has, and most have nothing in. */
export function emptyMessage(model: string, receipt: Receipt) {
  return {
    id: `msg_${receipt.calls.at(-1)?.reservationId}`,
    type: "message",
    role: "assistant",
    model,
    content: [] as object[],
    stop_reason: null as string | null,
    stop_sequence: null as string | null,
    stop_details: null as unknown,
    container: null,
  };
}

/** Of a provider whose answer has only begun, or that does not say, zeros: clients need numbers. */
const NO_USAGE = {
  input_tokens: 0,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: 0,
};

/** What Claude itself says as it begins. */
export function startUsage(metadata: SharedV4ProviderMetadata | undefined): object {
  return { ...NO_USAGE, ...(metadata?.anthropic?.usage as object | undefined) };
}

/** Claude's own report; of others the same by its convention: the cache is beside the input. */
export function toUsage({ inputTokens, outputTokens, raw }: LanguageModelV4Usage): object {
  if (raw && typeof raw.input_tokens === "number" && "cache_read_input_tokens" in raw) {
    return { ...NO_USAGE, ...raw };
  }
  const read = inputTokens.cacheRead ?? 0;
  const written = inputTokens.cacheWrite ?? 0;
  return {
    ...NO_USAGE,
    input_tokens: inputTokens.noCache ?? Math.max((inputTokens.total ?? 0) - read - written, 0),
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    output_tokens: outputTokens.total ?? 0,
  };
}

/** Claude's own words for an end. */
const STOP_REASONS =
  /^(end_turn|max_tokens|stop_sequence|tool_use|pause_turn|refusal|model_context_window_exceeded)$/;

const WORDS: Record<FinishReason, string> = {
  stop: "end_turn",
  length: "max_tokens",
  content_filter: "refusal",
  tool_calls: "tool_use",
  other: "other",
};

/** Why an answer ended. `mapped` throws where it is no answer. */
export function toStop(
  { raw }: LanguageModelV4FinishReason,
  metadata: SharedV4ProviderMetadata | undefined,
  hasTools: boolean,
  mapped: () => FinishReason,
) {
  const { stopSequence, stopDetails } = { ...metadata?.anthropic };
  const isOwn = metadata?.anthropic !== undefined && raw !== undefined && STOP_REASONS.test(raw);
  const reason = isOwn ? raw : WORDS[mapped()];
  return {
    // Some providers stop at a call of a tool as at any other end; clients go on by this word.
    stop_reason: hasTools && reason === "end_turn" ? "tool_use" : reason,
    stop_sequence: typeof stopSequence === "string" ? stopSequence : null,
    stop_details: (stopDetails ?? null) as unknown,
  };
}

/** What the AI SDK calls otherwise than Anthropic. */
const FIELDS: Record<string, string> = {
  maxOutputTokens: "max_tokens",
  reasoning: "thinking",
  responseFormat: "output_config.format",
  strict: "tools.strict",
  "extended thinking": "thinking",
  "providerOptions.anthropic.thinking": "thinking",
  "providerOptions.anthropic.effort": "output_config.effort",
  "providerOptions.anthropic.structuredOutputMode": "output_config.format",
  "providerOptions.anthropic.disableParallelToolUse": "tool_choice.disable_parallel_tool_use",
};

/** `x-spendgate-warnings`, in Anthropic's names. */
export function warningHeaders(warnings: SharedV4Warning[], ignored: Set<string>) {
  return headersOfWarnings(warnings, ignored, FIELDS);
}
