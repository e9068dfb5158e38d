// OpenAI's messages as the AI SDK's prompt.
import type {
  LanguageModelV4FilePart,
  LanguageModelV4Prompt,
  LanguageModelV4TextPart,
  SharedV4ProviderOptions,
} from "@ai-sdk/provider";
import { invalidRequest } from "../_shared/errors.ts";
import { imageTypeOf, parseDataUrl, parseHttpsUrl } from "../_shared/llm/bounds/file_url.ts";
import { readArguments } from "../_shared/llm/tool_arguments.ts";
import { takesReasoning, type Wire, wireOf } from "../_shared/llm/wire.ts";
import type { CacheControl, Message, TextPart, UserPart } from "./chat_request.ts";

type PromptMessage = LanguageModelV4Prompt[number];
type MessageOf<Role> = Extract<Message, { role: Role }>;

/**
 * The prompt for a provider. What it has no place for is added to `ignored`.
 * @throws SpendgateError invalid_request, with the path of what is wrong.
 */
export async function toPrompt(
  messages: Message[],
  provider: string,
  ignored: Set<string>,
): Promise<LanguageModelV4Prompt> {
  // A tool's answer names its call by id alone; the prompt wants the tool's name too.
  const toolNames = new Map(
    messages.flatMap((each) =>
      each.role === "assistant"
        ? (each.tool_calls ?? []).map((call) => [call.id, call.function.name] as const)
        : [],
    ),
  );
  const writer = new PromptWriter(provider, toolNames, ignored);
  const written = messages.map((each, index) => writer.write(each, `messages.${index}`));
  return (await Promise.all(written)).flat();
}

class PromptWriter {
  readonly #wire: Wire;

  constructor(
    readonly provider: string,
    readonly toolNames: Map<string, string>,
    readonly ignored: Set<string>,
  ) {
    this.#wire = wireOf(provider);
  }

  async write(message: Message, path: string): Promise<PromptMessage[]> {
    switch (message.role) {
      case "system":
      case "developer":
        return this.#system(message);
      case "user":
        return [this.#user(message, path)];
      case "assistant":
        return [await this.#assistant(message, path)];
      case "tool":
        return [this.#tool(message, path)];
    }
  }

  /** One message for each part that a cache may end at: the prompt has none within a system message. */
  #system({ content, name }: MessageOf<"system"> | MessageOf<"developer">): PromptMessage[] {
    const message = (text: string, cache?: CacheControl): PromptMessage => ({
      role: "system",
      content: text,
      ...options(this.#named(name), this.#cached(cache)),
    });
    if (typeof content === "string") return [message(content)];
    if (this.#wire === "google" || content.every((part) => !part.cache_control)) {
      for (const part of content) this.#cached(part.cache_control);
      return [message(textOf(content))];
    }
    return content.map((part) => message(part.text, part.cache_control));
  }

  #user({ content, name }: MessageOf<"user">, path: string): PromptMessage {
    const named = this.#named(name);
    const parts =
      typeof content === "string"
        ? [textPart(content)]
        : content.map((part, index) => this.#part(part, `${path}.content.${index}`));
    const [first, ...others] = parts;
    // Of a message that is one text, compatible providers read the text's fields as the message's.
    if (this.#wire === "compatible" && first?.type === "text" && others.length === 0) {
      return {
        role: "user",
        content: [{ ...first, ...options(first.providerOptions ?? {}, named) }],
      };
    }
    return { role: "user", content: parts, ...options(named) };
  }

  async #assistant(message: MessageOf<"assistant">, path: string): Promise<PromptMessage> {
    const { reasoning_content: reasoning, images, tool_calls: calls, name } = message;
    const content: Extract<PromptMessage, { role: "assistant" }>["content"] = [];
    if (reasoning) {
      if (takesReasoning(this.provider)) content.push({ type: "reasoning", text: reasoning });
      else this.ignored.add("messages.reasoning_content");
    }
    const parts = assistantParts(message);
    for (const { text, cache_control } of parts) {
      if (text !== "")
        content.push({ type: "text", text, ...options(this.#cached(cache_control)) });
    }
    for (const [index, image] of (images ?? []).entries()) {
      if (this.#wire === "google") content.push(this.#part(image, `${path}.images.${index}`));
      else this.ignored.add("messages.images");
    }
    for (const call of calls ?? []) {
      content.push({
        type: "tool-call",
        toolCallId: call.id,
        toolName: call.function.name,
        input: await readArguments(call.function.arguments),
      });
    }
    // Of an assistant's parts compatible providers read the text alone; the message may say the rest.
    const cache = parts.at(-1)?.cache_control;
    const ofMessage = this.#wire === "compatible" ? this.#cached(cache) : {};
    return { role: "assistant", content, ...options(this.#named(name), ofMessage) };
  }

  #tool(message: MessageOf<"tool">, path: string): PromptMessage {
    const toolName = this.toolNames.get(message.tool_call_id);
    if (toolName === undefined) {
      throw invalid(`${path}.tool_call_id`, "No tool call has this tool_call_id.");
    }
    const { content } = message;
    const cache = typeof content === "string" ? undefined : content.at(-1)?.cache_control;
    return {
      role: "tool",
      content: [
        {
          type: "tool-result",
          toolCallId: message.tool_call_id,
          toolName,
          output: { type: "text", value: textOf(content) },
          ...options(this.#cached(cache)),
        },
      ],
    };
  }

  #part(part: UserPart, path: string): LanguageModelV4TextPart | LanguageModelV4FilePart {
    const cached = this.#cached(part.cache_control);
    if (part.type === "text") return { type: "text", text: part.text, ...options(cached) };
    if (part.type === "file") {
      return {
        ...dataPart(part.file.file_data, `${path}.file.file_data`),
        filename: part.file.filename ?? undefined,
        ...options(cached),
      };
    }
    const { url, detail } = part.image_url;
    if (detail && this.#wire !== "openai") this.ignored.add("messages.content.image_url.detail");
    const detailed: SharedV4ProviderOptions =
      detail && this.#wire === "openai" ? { openai: { imageDetail: detail } } : {};
    return { ...imagePart(url, `${path}.image_url.url`), ...options(cached, detailed) };
  }

  #cached(cache: CacheControl): SharedV4ProviderOptions {
    if (!cache) return {};
    const control = { type: cache.type, ...(cache.ttl && { ttl: cache.ttl }) };
    if (this.#wire === "anthropic") return { anthropic: { cacheControl: control } };
    // Compatible providers keep for five minutes, as all do who are not told.
    if (this.#wire === "compatible" && cache.ttl !== "1h") {
      return { openaiCompatible: { cache_control: control } };
    }
    // These keep what they can without being asked.
    this.ignored.add("messages.content.cache_control");
    return {};
  }

  #named(name: string | null | undefined): SharedV4ProviderOptions {
    if (!name) return {};
    if (this.#wire === "openai") return { openai: { name } };
    if (this.#wire === "compatible") return { openaiCompatible: { name } };
    this.ignored.add("messages.name");
    return {};
  }
}

/** Several options, and of one provider's several the union of its fields. */
export function options(...all: SharedV4ProviderOptions[]): {
  providerOptions?: SharedV4ProviderOptions;
} {
  const merged: SharedV4ProviderOptions = {};
  for (const each of all) {
    for (const [provider, fields] of Object.entries(each)) {
      merged[provider] = { ...merged[provider], ...fields };
    }
  }
  return Object.keys(merged).length === 0 ? {} : { providerOptions: merged };
}

export function textPart(text: string): LanguageModelV4TextPart {
  return { type: "text", text };
}

export function imagePart(url: string, path: string): LanguageModelV4FilePart {
  return url.startsWith("data:") ? dataPart(url, path) : addressed(url, path, imageTypeOf);
}

/** A file that the provider fetches. */
export function addressed(
  url: string,
  path: string,
  typeOf: (address: URL) => string,
): LanguageModelV4FilePart {
  const address = parseHttpsUrl(url);
  if (!address) throw invalid(path, "Send a file as a data: URL or by an https: URL.");
  return { type: "file", mediaType: typeOf(address), data: { type: "url", url: address } };
}

export function dataPart(url: string, path: string): LanguageModelV4FilePart {
  const file = parseDataUrl(url);
  if (!file) throw invalid(path, "Send a file as a data:<type>;base64,… URL.");
  return { type: "file", mediaType: file.mediaType, data: { type: "data", data: file.data } };
}

function assistantParts({ content, refusal }: MessageOf<"assistant">): TextPart[] {
  if (content === null || content === undefined || content === "") {
    return [{ type: "text", text: refusal ?? "" }];
  }
  if (typeof content === "string") return [{ type: "text", text: content }];
  return content.map((part) =>
    part.type === "refusal" ? { type: "text", text: part.refusal } : part,
  );
}

export function textOf(content: string | { text: string }[]): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("");
}

export function invalid(path: string, message: string) {
  return invalidRequest([{ path, message }]);
}
