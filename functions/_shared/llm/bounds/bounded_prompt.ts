// A prompt with nothing in it that its bound does not count: no reference to what a provider keeps, and of the options
// of messages and parts the ones that are allowed.
import type { LanguageModelV4Message, LanguageModelV4Prompt } from "@ai-sdk/provider";
import { invalidRequest } from "../../errors.ts";
import { type ProviderOptions, returnedOptions, writtenOptions } from "../providers/options.ts";

type UserPart = Extract<LanguageModelV4Message, { role: "user" }>["content"][number];
type AssistantPart = Extract<LanguageModelV4Message, { role: "assistant" }>["content"][number];
type ToolPart = Extract<LanguageModelV4Message, { role: "tool" }>["content"][number];
type ToolOutput = Extract<ToolPart, { type: "tool-result" }>["output"];

/**
 * The prompt as `provider` may be sent it.
 * @throws SpendgateError invalid_request for an option that is not allowed in what only a caller writes (messages of
 * system and user), and for a file that is named by a provider's id.
 */
export function boundedPrompt(
  prompt: LanguageModelV4Prompt,
  provider: string,
): LanguageModelV4Prompt {
  return prompt.flatMap((message) => boundedMessage(message, provider));
}

/** None where nothing of the message may be sent. */
function boundedMessage(message: LanguageModelV4Message, provider: string): LanguageModelV4Prompt {
  if (message.role === "system") {
    return [{ ...message, providerOptions: writtenOptions(message.providerOptions, provider) }];
  }
  if (message.role === "user") {
    return [
      {
        ...message,
        content: message.content.map((part) => userPart(part, provider)),
        providerOptions: writtenOptions(message.providerOptions, provider),
      },
    ];
  }
  const providerOptions = returnedOptions(message.providerOptions, provider);
  if (message.role === "tool") {
    const content = message.content.flatMap((part) => toolPart(part, provider));
    return content.length > 0 ? [{ ...message, content, providerOptions }] : [];
  }
  const content = joinReasoning(message.content).flatMap((part) => assistantPart(part, provider));
  if (content.length === 0 && message.content.length > 0) return [];
  return [{ ...message, content, providerOptions }];
}

function userPart(part: UserPart, provider: string): UserPart {
  const providerOptions = writtenOptions(part.providerOptions, provider);
  if (part.type === "text") return { type: "text", text: part.text, providerOptions };
  refuseReference(part.data);
  const { type, data, mediaType, filename } = part;
  return { type, data, mediaType, filename, providerOptions };
}

/** Parts of a kind that only one provider knows are left out: their content is kept by it, or opaque. */
function assistantPart(part: AssistantPart, provider: string): AssistantPart[] {
  if (part.type === "custom") return [];
  if (part.type === "tool-result") return toolPart(part, provider) as AssistantPart[];
  if (part.type === "file" || part.type === "reasoning-file") refuseReference(part.data);
  // The AI SDK also reads options where it writes them in its answers.
  const { providerMetadata: _, ...rest } = part as typeof part & { providerMetadata?: unknown };
  return [{ ...rest, providerOptions: returnedOptions(part.providerOptions, provider) }];
}

/** An approval answers a request that the provider keeps, so it is left out. */
function toolPart(part: ToolPart, provider: string): ToolPart[] {
  if (part.type !== "tool-result") return [];
  const { providerMetadata: _, ...rest } = part as typeof part & { providerMetadata?: unknown };
  return [
    {
      ...rest,
      output: toolOutput(part.output, provider),
      providerOptions: returnedOptions(part.providerOptions, provider),
    },
  ];
}

function toolOutput(output: ToolOutput, provider: string): ToolOutput {
  if (output.type !== "content") {
    return { ...output, providerOptions: returnedOptions(output.providerOptions, provider) };
  }
  const value = output.value.flatMap((item) => {
    if (item.type === "custom") return [];
    if (item.type === "file") refuseReference(item.data);
    return [{ ...item, providerOptions: returnedOptions(item.providerOptions, provider) }];
  });
  return { type: "content", value };
}

/**
 * The parts of one piece of OpenAI's reasoning as one part. They are told by the id under which OpenAI keeps it, which
 * is not sent; the last of them has its encrypted content.
 */
function joinReasoning(content: AssistantPart[]): AssistantPart[] {
  const joined: AssistantPart[] = [];
  for (const part of content) {
    const last = joined.at(-1);
    if (
      part.type === "reasoning" &&
      last?.type === "reasoning" &&
      itemId(part) !== undefined &&
      itemId(part) === itemId(last)
    ) {
      joined[joined.length - 1] = {
        ...last,
        text: [last.text, part.text].filter((text) => text !== "").join("\n\n"),
        providerOptions: withEncrypted(last.providerOptions, part.providerOptions),
      };
    } else {
      joined.push(part);
    }
  }
  return joined;
}

function itemId({ providerOptions }: AssistantPart): unknown {
  return providerOptions?.openai?.itemId ?? undefined;
}

function withEncrypted(
  earlier: ProviderOptions | undefined,
  later: ProviderOptions | undefined,
): ProviderOptions {
  const encrypted =
    later?.openai?.reasoningEncryptedContent ?? earlier?.openai?.reasoningEncryptedContent;
  return { ...earlier, openai: { ...earlier?.openai, reasoningEncryptedContent: encrypted } };
}

function refuseReference({ type }: { type: string }): void {
  if (type === "reference") {
    throw invalidRequest([
      {
        path: "messages",
        message: "A file is sent with the message, or by its address: never by a provider's id.",
      },
    ]);
  }
}
