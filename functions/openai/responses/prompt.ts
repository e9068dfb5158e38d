// The items of a response's input as the AI SDK's prompt.
import type {
  LanguageModelV4FilePart,
  LanguageModelV4Prompt,
  LanguageModelV4ReasoningPart,
  LanguageModelV4TextPart,
  LanguageModelV4ToolResultPart,
} from "@ai-sdk/provider";
import type { Product } from "../../_shared/llm/model_name.ts";
import { openaiApi } from "../../_shared/llm/providers/openai_api.ts";
import { readArguments } from "../../_shared/llm/tool_arguments.ts";
import { takesReasoning, type Wire, wireOf } from "../../_shared/llm/wire.ts";
import { addressed, dataPart, imagePart, invalid, options, textOf, textPart } from "../prompt.ts";
import { readReasoning } from "./encrypted_reasoning.ts";
import type { InputItem, InputMessage, InputPart } from "./request.ts";

type PromptMessage = LanguageModelV4Prompt[number];
type ItemOf<Type> = Extract<InputItem, { type: Type }>;
type Said = Extract<InputMessage, { role: "assistant" }>;
type AssistantPart = Extract<PromptMessage, { role: "assistant" }>["content"][number];

/**
 * The prompt for a provider. What it has no place for is added to `ignored`.
 * @throws SpendgateError invalid_request, with the path of what is wrong.
 */
export async function toPrompt(
  { instructions, input }: { instructions?: string | null; input: string | InputItem[] },
  product: Product,
  ignored: Set<string>,
): Promise<LanguageModelV4Prompt> {
  const items: InputItem[] =
    typeof input === "string" ? [{ type: "message", role: "user", content: input }] : input;
  const calls = items.flatMap((item) => (item.type === "function_call" ? [item] : []));
  const toolNames = new Map(calls.map(({ call_id, name }) => [call_id, name]));
  const writer = new ItemWriter(product, toolNames, ignored);
  const written = await Promise.all(
    items.map((item, index) => writer.write(item, `input.${index}`)),
  );
  const system: PromptMessage[] = instructions ? [{ role: "system", content: instructions }] : [];
  return joined([...system, ...written.flat()]);
}

/** What one turn of the model said is several items, and one message; so are the answers of its tools. */
function joined(messages: PromptMessage[]): PromptMessage[] {
  const turns: PromptMessage[] = [];
  for (const message of messages) {
    const last = turns.at(-1);
    if (last?.role === "assistant" && message.role === "assistant") {
      last.content.push(...message.content);
    } else if (last?.role === "tool" && message.role === "tool") {
      last.content.push(...message.content);
    } else {
      turns.push(message);
    }
  }
  return turns;
}

class ItemWriter {
  readonly #wire: Wire;

  constructor(
    readonly product: Product,
    readonly toolNames: Map<string, string>,
    readonly ignored: Set<string>,
  ) {
    this.#wire = wireOf(product.provider);
  }

  /** None where nothing of the item can be sent to this provider. */
  async write(item: InputItem, path: string): Promise<PromptMessage[]> {
    switch (item.type) {
      case "message":
        return item.role === "assistant"
          ? assistant(this.#said(item))
          : [this.#message(item, path)];
      case "function_call":
        return [{ role: "assistant", content: [await toolCall(item)] }];
      case "function_call_output":
        return [{ role: "tool", content: [this.#toolResult(item, path)] }];
      case "reasoning":
        return assistant(this.#reasoning(item));
      case "image_generation_call":
        return assistant(this.#image(item, path));
      case "item_reference":
        return [];
    }
  }

  #message({ role, content }: Exclude<InputMessage, Said>, path: string): PromptMessage {
    if (role !== "user") return { role: "system", content: textOf(content) };
    const isText = typeof content === "string";
    return {
      role,
      content: isText ? [textPart(content)] : this.#parts(content, `${path}.content`),
    };
  }

  #said({ content, phase }: Said): AssistantPart[] {
    const texts =
      typeof content === "string"
        ? [content]
        : content.map((part) => (part.type === "refusal" ? part.refusal : part.text));
    const ofMessage = phase && this.#wire === "openai" ? options({ openai: { phase } }) : {};
    return texts.flatMap((text) => (text === "" ? [] : [{ ...textPart(text), ...ofMessage }]));
  }

  #parts(parts: InputPart[], path: string): (LanguageModelV4TextPart | LanguageModelV4FilePart)[] {
    return parts.map((part, index) =>
      part.type === "input_text" ? textPart(part.text) : this.#file(part, `${path}.${index}`),
    );
  }

  #file(part: Exclude<InputPart, { type: "input_text" }>, path: string): LanguageModelV4FilePart {
    if (part.type === "input_image") {
      const { image_url: url, detail } = part;
      if (detail && this.#wire !== "openai") this.ignored.add("input.content.detail");
      return {
        ...imagePart(url, `${path}.image_url`),
        ...(detail && this.#wire === "openai" && options({ openai: { imageDetail: detail } })),
      };
    }
    const { file_data: data, file_url: url, filename } = part;
    if (data && url) throw invalid(path, "Send file_data or file_url, not both.");
    if (!data && !url) throw invalid(path, "Send the file: as file_data, or by its file_url.");
    const file = data
      ? dataPart(data, `${path}.file_data`)
      : addressed(url ?? "", `${path}.file_url`, () => "application/pdf");
    return { ...file, filename: filename ?? undefined };
  }

  #toolResult(
    { call_id, output }: ItemOf<"function_call_output">,
    path: string,
  ): LanguageModelV4ToolResultPart {
    const toolName = this.toolNames.get(call_id);
    if (toolName === undefined) {
      throw invalid(`${path}.call_id`, "No function call in the input has this call_id.");
    }
    return {
      type: "tool-result",
      toolCallId: call_id,
      toolName,
      output:
        typeof output === "string"
          ? { type: "text", value: output }
          : this.#toolOutput(output, `${path}.output`),
    };
  }

  #toolOutput(parts: InputPart[], path: string): LanguageModelV4ToolResultPart["output"] {
    const value = this.#parts(parts, path);
    if (parts.every((part) => part.type === "input_text"))
      return { type: "text", value: textOf(parts) };
    // The others would be sent its bytes as a text.
    if (!takesFilesOfTools(this.product)) {
      throw invalid(path, "This model's provider takes no files in what a tool answers.");
    }
    return { type: "content", value };
  }

  #reasoning({ summary, content, encrypted_content }: ItemOf<"reasoning">): AssistantPart[] {
    const parts: { text: string }[] = summary.length > 0 ? summary : (content ?? []);
    const text = parts.map((part) => part.text).join("\n\n");
    const kept = readReasoning(encrypted_content, this.#wire);
    const part: LanguageModelV4ReasoningPart = { type: "reasoning", text, ...kept };
    if (kept || (text !== "" && takesReasoning(this.product.provider))) return [part];
    this.ignored.add("input.reasoning");
    return [];
  }

  /** Of the providers that draw, Google takes back what it has drawn. */
  #image({ result }: ItemOf<"image_generation_call">, path: string): AssistantPart[] {
    if (result && this.#wire === "google") {
      return [dataPart(`data:image/png;base64,${result}`, `${path}.result`)];
    }
    this.ignored.add("input.image_generation_call");
    return [];
  }
}

function takesFilesOfTools({ provider, model }: Product): boolean {
  return provider === "openai"
    ? openaiApi(model, "responses") === "responses"
    : provider === "anthropic";
}

function assistant(content: AssistantPart[]): PromptMessage[] {
  return content.length > 0 ? [{ role: "assistant", content }] : [];
}

async function toolCall({
  call_id,
  name,
  arguments: json,
}: ItemOf<"function_call">): Promise<AssistantPart> {
  return {
    type: "tool-call",
    toolCallId: call_id,
    toolName: name,
    input: await readArguments(json),
  };
}
