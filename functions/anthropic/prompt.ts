// Anthropic's messages as the AI SDK's prompt.
import type {
  LanguageModelV4FilePart,
  LanguageModelV4Prompt,
  LanguageModelV4TextPart,
  LanguageModelV4ToolResultPart,
  SharedV4ProviderOptions,
} from "@ai-sdk/provider";
import { invalidRequest } from "../_shared/errors.ts";
import { imageTypeOf } from "../_shared/llm/bounds/file_url.ts";
import { takesReasoning, type Wire, wireOf } from "../_shared/llm/wire.ts";
import type {
  CacheControl,
  DocumentBlock,
  ImageBlock,
  Message,
  MessageRequest,
  TextBlock,
  ToolResult,
  UserBlock,
} from "./message_request.ts";

type PromptMessage = LanguageModelV4Prompt[number];
type AssistantMessage = Extract<Message, { role: "assistant" }>;
type AssistantBlock = Exclude<AssistantMessage["content"], string>[number];
type AssistantPart = Extract<PromptMessage, { role: "assistant" }>["content"][number];
type FileBlock = ImageBlock | DocumentBlock;
type Output = LanguageModelV4ToolResultPart["output"];
type OutputItem = Extract<Output, { type: "content" }>["value"][number];
type OutputBlock = TextBlock | FileBlock;

/**
 * The prompt for a provider. What it has no place for is added to `ignored`.
 * @throws SpendgateError invalid_request, with the path of what is wrong.
 */
export function toPrompt(
  { system, messages }: Pick<MessageRequest, "system" | "messages">,
  provider: string,
  ignored: Set<string>,
): LanguageModelV4Prompt {
  const writer = new PromptWriter(provider, toolNamesIn(messages), ignored);
  return [
    ...(system ? writer.system(system) : []),
    ...messages.flatMap((message, index) => writer.write(message, `messages.${index}`)),
  ];
}

/** A tool's answer names its call by id alone; the prompt wants the tool's name too. */
function toolNamesIn(messages: Message[]): Map<string, string> {
  const names = new Map<string, string>();
  for (const { content } of messages) {
    for (const block of typeof content === "string" ? [] : content) {
      if (block.type === "tool_use") names.set(block.id, block.name);
    }
  }
  return names;
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

  /** One message for each block that a cache may end at: the prompt has none within a system message. */
  system(content: string | TextBlock[]): PromptMessage[] {
    if (typeof content === "string") return [{ role: "system", content }];
    const isCached = content.some((block) => block.cache_control);
    if (this.#wire === "anthropic" || (this.#wire === "compatible" && isCached)) {
      return content.map((block) => ({
        role: "system",
        content: block.text,
        ...this.#cached(block.cache_control),
      }));
    }
    for (const block of content) this.#cached(block.cache_control);
    const text = content.map((block) => block.text).join("\n\n");
    return text === "" ? [] : [{ role: "system", content: text }];
  }

  write(message: Message, path: string): PromptMessage[] {
    const { role, content } = message;
    if (role === "system") return this.system(message.content);
    if (role === "assistant") return [this.#assistant(message)];
    if (typeof content === "string") return [{ role, content: [{ type: "text", text: content }] }];
    return this.#user(message.content as UserBlock[], `${path}.content`);
  }

  /** The answers of tools are a message of their own role, before or after what the user says. */
  #user(blocks: UserBlock[], path: string): PromptMessage[] {
    const written: PromptMessage[] = [];
    for (const [index, block] of blocks.entries()) {
      const last = written.at(-1);
      if (block.type === "tool_result") {
        const part = this.#toolResult(block, `${path}.${index}`);
        if (last?.role === "tool") last.content.push(part);
        else written.push({ role: "tool", content: [part] });
      } else {
        const part = this.#userPart(block);
        if (last?.role === "user") last.content.push(part);
        else written.push({ role: "user", content: [part] });
      }
    }
    const files = blocks.flatMap((block) =>
      block.type === "tool_result" ? this.#filesAfter(block) : [],
    );
    if (files.length === 0) return written;
    return [
      ...written.filter(({ role }) => role === "tool"),
      { role: "user", content: files.map((file) => this.#file(file)) },
      ...written.filter(({ role }) => role !== "tool"),
    ];
  }

  /** Files of a tool's answer which it cannot have in it: they come after it, as the user's. */
  #filesAfter({ content }: ToolResult): FileBlock[] {
    if (typeof content === "string" || !content) return [];
    return content.filter(isFile).filter((file) => !this.#isInAnswer(file));
  }

  /** Chat Completions knows nothing but text as a tool's answer, Gemini no addresses in one. */
  #isInAnswer({ source }: FileBlock): boolean {
    return this.#wire === "anthropic" || (this.#wire === "google" && source.type !== "url");
  }

  #userPart(block: Exclude<UserBlock, ToolResult>) {
    return block.type === "text" ? this.#text(block) : this.#file(block);
  }

  #text({ text, cache_control }: TextBlock): LanguageModelV4TextPart {
    return { type: "text", text, ...this.#cached(cache_control) };
  }

  #file(block: FileBlock): LanguageModelV4FilePart {
    return { type: "file", ...this.#fileContent(block) };
  }

  #fileContent(block: FileBlock): Omit<LanguageModelV4FilePart, "type"> {
    const { providerOptions: cached } = this.#cached(block.cache_control);
    if (block.type === "image") {
      return { ...imageContent(block), ...(cached && { providerOptions: cached }) };
    }
    const { title, context } = block;
    const described = { ...(title && { title }), ...(context && { context }) };
    if (this.#wire !== "anthropic" && context) this.ignored.add("messages.content.context");
    const options =
      this.#wire === "anthropic" && Object.keys(described).length > 0
        ? { anthropic: { ...cached?.anthropic, ...described } }
        : cached;
    return {
      ...documentContent(block),
      ...(title && { filename: title }),
      ...(options && { providerOptions: options }),
    };
  }

  #toolResult(block: ToolResult, path: string): LanguageModelV4ToolResultPart {
    const toolName = this.toolNames.get(block.tool_use_id);
    if (toolName === undefined) {
      const message = "No tool_use has this id.";
      throw invalidRequest([{ path: `${path}.tool_use_id`, message }]);
    }
    return {
      type: "tool-result",
      toolCallId: block.tool_use_id,
      toolName,
      output: this.#output(block),
      ...this.#cached(block.cache_control),
    };
  }

  #output({ content, is_error: isError }: ToolResult): Output {
    if (typeof content === "string" || !content) {
      return { type: isError ? "error-text" : "text", value: content ?? "" };
    }
    const value = content.flatMap((block) => this.#outputItem(block));
    const texts = value.flatMap((item) => (item.type === "text" ? [item.text] : []));
    const isText = texts.length === value.length;
    // An error is nothing but its text in the AI SDK.
    if (isError && isText) return { type: "error-text", value: texts.join("\n") };
    if (isError) this.ignored.add("messages.content.is_error");
    if (isText && this.#wire !== "anthropic") return { type: "text", value: texts.join("\n") };
    return { type: "content", value };
  }

  /** None for a file that comes after the answer. Of documents in it no wire has more than what they say. */
  #outputItem(block: OutputBlock): OutputItem[] {
    if (block.type === "text") return [this.#text(block)];
    if (isFile(block) && !this.#isInAnswer(block)) return [];
    if (block.type === "image") return [{ type: "file", ...this.#fileContent(block) }];
    for (const field of ["title", "context"] as const) {
      if (block[field]) this.ignored.add(`messages.content.${field}`);
    }
    const { source, cache_control } = block;
    return source.type === "text"
      ? [this.#text({ type: "text", text: source.data, cache_control })]
      : [{ type: "file", ...this.#fileContent({ ...block, title: null, context: null }) }];
  }

  #assistant({ content }: AssistantMessage): PromptMessage {
    if (typeof content === "string") {
      return {
        role: "assistant",
        content: content === "" ? [] : [{ type: "text", text: content }],
      };
    }
    const parts = content.flatMap((block) => this.#assistantPart(block));
    // Of an assistant's parts compatible providers read the text alone; the message may say the rest.
    const last = content.at(-1);
    const ofMessage =
      this.#wire === "compatible" && last?.type === "text" ? this.#cached(last.cache_control) : {};
    return { role: "assistant", content: parts, ...ofMessage };
  }

  #assistantPart(block: AssistantBlock): AssistantPart[] {
    switch (block.type) {
      case "text":
        return block.text === "" ? [] : [this.#text(block)];
      case "thinking":
        return this.#thinking(block);
      case "redacted_thinking":
        return this.#redacted(block.data);
      case "tool_use":
        return [
          {
            type: "tool-call",
            toolCallId: block.id,
            toolName: block.name,
            input: block.input ?? {},
            ...this.#cached(block.cache_control),
          },
        ];
      case "image":
        if (this.#wire === "google") return [this.#file(block)];
        this.ignored.add("messages.content.image");
        return [];
    }
  }

  /** Claude takes back what it has signed. Of what others thought, nothing is signed. */
  #thinking({ thinking, signature }: { thinking: string; signature: string }): AssistantPart[] {
    if (this.#wire === "anthropic" && signature !== "") {
      return [{ type: "reasoning", text: thinking, providerOptions: { anthropic: { signature } } }];
    }
    if (takesReasoning(this.provider)) return [{ type: "reasoning", text: thinking }];
    this.ignored.add("messages.content.thinking");
    return [];
  }

  #redacted(data: string): AssistantPart[] {
    if (this.#wire === "anthropic") {
      return [
        { type: "reasoning", text: "", providerOptions: { anthropic: { redactedData: data } } },
      ];
    }
    this.ignored.add("messages.content.redacted_thinking");
    return [];
  }

  #cached(cache: CacheControl): { providerOptions?: SharedV4ProviderOptions } {
    if (!cache) return {};
    if (cache.scope) this.ignored.add("cache_control.scope");
    const control = { type: cache.type, ...(cache.ttl && { ttl: cache.ttl }) };
    if (this.#wire === "anthropic") {
      return { providerOptions: { anthropic: { cacheControl: control } } };
    }
    // Compatible providers keep for five minutes, as all do who are not told.
    if (this.#wire === "compatible" && cache.ttl !== "1h") {
      return { providerOptions: { openaiCompatible: { cache_control: control } } };
    }
    // These keep what they can without being asked.
    this.ignored.add("cache_control");
    return {};
  }
}

function imageContent({ source }: ImageBlock): Omit<LanguageModelV4FilePart, "type"> {
  if (source.type === "base64") {
    return { mediaType: source.media_type, data: { type: "data", data: source.data } };
  }
  const url = new URL(source.url);
  return { mediaType: imageTypeOf(url), data: { type: "url", url } };
}

function documentContent({ source }: DocumentBlock): Omit<LanguageModelV4FilePart, "type"> {
  switch (source.type) {
    case "base64":
      return { mediaType: source.media_type, data: { type: "data", data: source.data } };
    case "text":
      return { mediaType: source.media_type, data: { type: "text", text: source.data } };
    case "url":
      return { mediaType: "application/pdf", data: { type: "url", url: new URL(source.url) } };
  }
}

/** In a tool's answer: a document that is a text is written as one. */
function isFile(block: OutputBlock): block is FileBlock {
  return block.type !== "text" && block.source.type !== "text";
}
