// Parts of the AI SDK's answers as a response of OpenAI's, and as the events that tell of it.
import type {
  LanguageModelV4Content,
  LanguageModelV4Usage,
  SharedV4ProviderMetadata,
} from "@ai-sdk/provider";
import type { SpendgateError } from "../../_shared/errors.ts";
import type { CallCost, Receipt } from "../../_shared/gate/receipt.ts";
import type { FinishReason } from "../../_shared/llm/finish_reason.ts";
import { toArguments } from "../../_shared/llm/tool_arguments.ts";
import { type Image, rawImages, toImage, toOpenAIUsage } from "../answer.ts";
import { toOpenAIError } from "../errors.ts";
import type { AnswerPart, EventFormat } from "../model_call.ts";
import { writeReasoning } from "./encrypted_reasoning.ts";
import {
  FunctionCallItem,
  ImageItem,
  MessageItem,
  type OpenItem,
  ReasoningItem,
} from "./output.ts";
import type { ResponseRequest } from "./request.ts";

type Part<Type> = Extract<AnswerPart, { type: Type }>;

/** Why a response is incomplete, by the reason that it ended for; `other` is none of OpenAI's. */
const INCOMPLETE: Partial<Record<FinishReason, string>> = {
  length: "max_output_tokens",
  content_filter: "content_filter",
  other: "other",
};

/** Reasoning that comes; it has an item once something of it can be read. */
interface Reasoning {
  key: string;
  item?: ReasoningItem;
  metadata: SharedV4ProviderMetadata;
}

export class ResponseFormat implements EventFormat {
  readonly #frame: Record<string, unknown>;
  readonly #id: string;
  /** Reasoning is shown where it was asked for: as a summary, or to be sent back. */
  readonly #showsReasoning: boolean;
  readonly #encryptsReasoning: boolean;
  readonly #items: OpenItem[] = [];
  readonly #calls = new Map<string, FunctionCallItem>();
  readonly #phases = new Map<string, unknown>();
  #message: { partId: string; item: MessageItem } | undefined;
  #reasoning: Reasoning | undefined;
  #sequence = 0;
  #end: Record<string, unknown> = {};

  constructor(body: ResponseRequest, receipt: Receipt) {
    this.#id = String(receipt.calls.at(-1)?.reservationId);
    this.#frame = frame(body, this.#id);
    this.#encryptsReasoning = body.include?.includes("reasoning.encrypted_content") ?? false;
    this.#showsReasoning = this.#encryptsReasoning || Boolean(body.reasoning?.summary);
  }

  /** As it is now. */
  get response(): Record<string, unknown> {
    return { ...this.#frame, output: this.#items.map(({ item }) => item), ...this.#end };
  }

  begin(): string {
    const { response } = this;
    return (
      this.#emit("response.created", { response }) +
      this.#emit("response.in_progress", { response })
    );
  }

  write(part: AnswerPart): string {
    switch (part.type) {
      case "text-start":
        this.#phases.set(part.id, part.providerMetadata?.openai?.phase);
        return "";
      case "text-delta":
        return part.delta === "" ? "" : this.#addText(part);
      case "reasoning-start":
      case "reasoning-delta":
      case "reasoning-end":
        return this.#showsReasoning ? this.#addReasoning(part) : "";
      case "tool-input-start":
        return part.providerExecuted ? "" : this.#beginCall(part.id, part.toolName);
      case "tool-input-delta":
        return this.#calls.get(part.id)?.add(part.delta) ?? "";
      case "tool-call":
        return part.providerExecuted ? "" : this.#endCall(part);
      case "file":
        return this.addImage(toImage(part));
      case "raw":
        return rawImages(part.rawValue)
          .map((image) => this.addImage(image))
          .join("");
      default:
        return "";
    }
  }

  finish(reason: FinishReason, usage: LanguageModelV4Usage): string {
    const incomplete = INCOMPLETE[reason];
    const status = incomplete ? "incomplete" : "completed";
    const closed = this.#closeReasoning();
    // Clients look for something that was said.
    const begun = this.#items.length === 0 ? this.#beginMessage("") : "";
    const ended = this.#items.map((item) => item.end(status)).join("");
    this.#end = {
      status,
      completed_at: incomplete ? null : now(),
      incomplete_details: incomplete ? { reason: incomplete } : null,
      usage: toUsage(usage),
    };
    return closed + begun + ended;
  }

  /** An `error`, which clients throw; `response.failed` follows it at the end. */
  fail(error: SpendgateError): string {
    const { error: said } = toOpenAIError(error);
    const { code, message, param } = said;
    this.#end = { status: "failed", error: { code, message } };
    return this.#emit("error", { code, message, param, error: said });
  }

  end(calls: CallCost[]): string {
    const response = { ...this.response, spendgate: { calls } };
    return this.#emit(`response.${this.#end.status}`, { response });
  }

  readonly #emit = (type: string, fields: Record<string, unknown>): string => {
    const event = { type, sequence_number: this.#sequence++, ...fields };
    return `event: ${type}\ndata: ${JSON.stringify(event)}\n\n`;
  };

  /** Texts and reasoning come one after the other: what follows ends them. */
  #open(make: (index: number, id: string) => OpenItem): string {
    const closed = this.#closeReasoning() + this.#closeText();
    const index = this.#items.length;
    const item = make(index, `${this.#id}_${index}`);
    this.#items.push(item);
    return closed + item.begin();
  }

  #addText({ id, delta }: Part<"text-delta">): string {
    const begun = this.#message?.partId === id ? "" : this.#beginMessage(id);
    return begun + (this.#message?.item.add(delta) ?? "");
  }

  #beginMessage(partId: string): string {
    return this.#open((index, id) => {
      const item = new MessageItem(this.#emit, index, id, this.#phases.get(partId));
      this.#message = { partId, item };
      return item;
    });
  }

  #beginCall(callId: string, name: string): string {
    return this.#open((index, id) => {
      const item = new FunctionCallItem(this.#emit, index, id, callId, name);
      this.#calls.set(callId, item);
      return item;
    });
  }

  /** The whole call: news where its provider has not streamed its arguments, or there are none. */
  #endCall({ toolCallId, toolName, input }: Part<"tool-call">): string {
    const begun = this.#calls.has(toolCallId) ? "" : this.#beginCall(toolCallId, toolName);
    const call = this.#calls.get(toolCallId);
    const added = call?.item.arguments === "" ? call.add(toArguments(input)) : "";
    return begun + added + (call?.end("completed") ?? "");
  }

  /** OpenAI's reasoning comes in parts with one id, and what is encrypted with the last of them. */
  #addReasoning(part: Part<"reasoning-start" | "reasoning-delta" | "reasoning-end">): string {
    const itemId = part.providerMetadata?.openai?.itemId;
    const key = typeof itemId === "string" ? itemId : part.id;
    const closed = this.#reasoning?.key === key ? "" : this.#closeReasoning();
    this.#reasoning ??= { key, metadata: {} };
    const { metadata } = this.#reasoning;
    for (const [provider, said] of Object.entries(part.providerMetadata ?? {})) {
      metadata[provider] = { ...metadata[provider], ...known(said) };
    }
    if (part.type !== "reasoning-delta" || part.delta === "") return closed;
    const begun = this.#reasoning.item ? "" : this.#beginReasoning(this.#reasoning);
    return closed + begun + (this.#reasoning.item?.add(part.id, part.delta) ?? "");
  }

  #beginReasoning(reasoning: Reasoning): string {
    const closed = this.#closeText();
    const index = this.#items.length;
    reasoning.item = new ReasoningItem(this.#emit, index, `${this.#id}_${index}`);
    this.#items.push(reasoning.item);
    return closed + reasoning.item.begin();
  }

  /** Of reasoning that nobody may read there is an item too, where it was asked for: it is sent back. */
  #closeReasoning(): string {
    const reasoning = this.#reasoning;
    this.#reasoning = undefined;
    if (reasoning === undefined) return "";
    const encrypted = this.#encryptsReasoning ? writeReasoning(reasoning.metadata) : undefined;
    if (reasoning.item === undefined && encrypted === undefined) return "";
    const begun = reasoning.item ? "" : this.#beginReasoning(reasoning);
    if (reasoning.item && encrypted) reasoning.item.item.encrypted_content = encrypted;
    return begun + (reasoning.item?.end("completed") ?? "");
  }

  #closeText(): string {
    const message = this.#message;
    this.#message = undefined;
    return message?.item.end("completed") ?? "";
  }

  /** One at an address is told by it: OpenAI's own have their bytes. */
  addImage({ image_url: { url } }: Image): string {
    const [, result] = /^data:[^,]*;base64,(.*)$/s.exec(url) ?? [];
    if (result === undefined) return this.#addText({ type: "text-delta", id: url, delta: url });
    const begun = this.#open((index, id) => new ImageItem(this.#emit, index, id, result));
    return begun + (this.#items.at(-1)?.end("completed") ?? "");
  }
}

/** A whole answer as the parts of a stream: what is made of it is the same. */
export function partsOf(content: LanguageModelV4Content[]): AnswerPart[] {
  return content.flatMap((part, index): AnswerPart[] => {
    if (part.type !== "text" && part.type !== "reasoning") return [part];
    const { type, text, providerMetadata } = part;
    const id = String(index);
    return [
      { type: `${type}-start`, id, providerMetadata },
      { type: `${type}-delta`, id, delta: text, providerMetadata },
      { type: `${type}-end`, id, providerMetadata },
    ];
  });
}

/** What the request asked for, and what is so anyway. */
function frame(body: ResponseRequest, id: string): Record<string, unknown> {
  const { reasoning, text } = body;
  return {
    id: `resp_${id}`,
    object: "response",
    created_at: now(),
    status: "in_progress",
    completed_at: null,
    background: false,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: null,
    metadata: body.metadata ?? {},
    model: body.model,
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: { effort: reasoning?.effort ?? null, summary: reasoning?.summary ?? null },
    safety_identifier: body.safety_identifier ?? null,
    service_tier: "default",
    store: false,
    temperature: body.temperature ?? null,
    text: { format: text?.format ?? { type: "text" }, verbosity: text?.verbosity ?? "medium" },
    tool_choice: body.tool_choice ?? "auto",
    tools: body.tools ?? [],
    top_logprobs: 0,
    top_p: body.top_p ?? null,
    truncation: body.truncation ?? "disabled",
    usage: null,
    user: body.user ?? null,
  };
}

/** Null where the provider did not say: see toOpenAIUsage. */
function toUsage(usage: LanguageModelV4Usage) {
  const said = toOpenAIUsage(usage);
  return (
    said && {
      input_tokens: said.prompt_tokens,
      input_tokens_details: said.prompt_tokens_details,
      output_tokens: said.completion_tokens,
      output_tokens_details: said.completion_tokens_details,
      total_tokens: said.total_tokens,
    }
  );
}

function known(said: Record<string, unknown>) {
  return Object.fromEntries(
    Object.entries(said).filter(([, value]) => value !== undefined && value !== null),
  ) as SharedV4ProviderMetadata[string];
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
