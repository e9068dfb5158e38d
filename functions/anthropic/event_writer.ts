// Parts of the AI SDK's stream as Anthropic's events.
import type { LanguageModelV4StreamPart, LanguageModelV4Usage } from "@ai-sdk/provider";
import type { CallCost, Receipt } from "../_shared/gate/receipt.ts";
import { brokenAnswer, toFinishReason } from "../_shared/llm/finish_reason.ts";
import { rawImageUrls } from "../_shared/llm/images.ts";
import { callError } from "../_shared/llm/providers/error.ts";
import { toArguments } from "../_shared/llm/tool_arguments.ts";
import {
  emptyMessage,
  fileBlock,
  imageBlock,
  reasoningBlock,
  startUsage,
  textBlock,
  toolBlock,
  toStop,
  toUsage,
} from "./answer.ts";
import { toAnthropicError } from "./errors.ts";

type Part = LanguageModelV4StreamPart;
type PartOf<Type extends Part["type"]> = Extract<Part, { type: Type }>;

/** The block that is being written: Anthropic's come one after the other. */
interface OpenBlock {
  /** The AI SDK's id of it. */
  id: string;
  index: number;
  kind: "text" | "thinking" | "redacted_thinking" | "tool_use";
  /** Of a tool: whether any of its arguments has been written. */
  hasArguments: boolean;
}

export class EventWriter {
  readonly #model: string;
  readonly #receipt: Receipt;
  #startUsage: object = startUsage(undefined);
  #hasBegun = false;
  #open: OpenBlock | undefined;
  #blocks = 0;
  #hasTools = false;
  /** What belongs after the tool's call that is being written. */
  #waiting: Part[] = [];
  #ending: "open" | "finished" | "failed" = "open";

  constructor(model: string, receipt: Receipt) {
    this.#model = model;
    this.#receipt = receipt;
  }

  write(part: Part): string {
    if (this.#mustWait(part)) {
      this.#waiting.push(part);
      return "";
    }
    const events = this.#event(part);
    return this.#isWritingTool() ? events : events + this.#writeWaiting();
  }

  /** The first error is the answer's end; what it brings with it says nothing more. */
  fail(error: unknown): string {
    if (this.#ending === "failed") return "";
    this.#ending = "failed";
    const { type, ...body } = toAnthropicError(callError(error));
    return event(type, body);
  }

  /** What it cost, where no client stumbles: in the last event, or beside an error in a comment. */
  end(calls: CallCost[]): string {
    const failure = this.#ending === "open" ? this.fail(brokenAnswer()) : "";
    if (this.#ending === "finished") return event("message_stop", { spendgate: { calls } });
    return `${failure}: ${JSON.stringify({ spendgate: { calls } })}\n\n`;
  }

  #isWritingTool(): boolean {
    return this.#open?.kind === "tool_use";
  }

  #mustWait(part: Part): boolean {
    if (!this.#isWritingTool() || part.type === "finish" || part.type === "error") return false;
    if (part.type === "raw") return rawImageUrls(part.rawValue).length > 0;
    const id = "toolCallId" in part ? part.toolCallId : "id" in part ? part.id : undefined;
    return part.type === "file" || (id !== undefined && id !== this.#open?.id);
  }

  #writeWaiting(): string {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting.map((part) => this.write(part)).join("");
  }

  #event(part: Part): string {
    switch (part.type) {
      case "custom":
        if (part.kind === "anthropic.message_start") {
          this.#startUsage = startUsage(part.providerMetadata);
        }
        return "";
      case "text-start":
        return this.#begin(part.id, textBlock(""), "text");
      case "text-delta":
        return part.delta === "" ? "" : this.#addText(part);
      case "reasoning-start":
        return this.#beginReasoning(part);
      case "reasoning-delta":
        return this.#addReasoning(part);
      case "text-end":
      case "reasoning-end":
        return this.#open?.id === part.id ? this.#close() : "";
      case "tool-input-start":
        return part.providerExecuted ? "" : this.#beginTool(part.id, part.toolName);
      case "tool-input-delta":
        return this.#addArguments(part.id, part.delta);
      case "tool-call":
        return part.providerExecuted ? "" : this.#endTool(part);
      case "file":
        return this.#whole(fileBlock(part));
      case "raw":
        return rawImageUrls(part.rawValue)
          .map((url) => this.#whole(imageBlock(url)))
          .join("");
      case "finish":
        return this.#finish(part);
      case "error":
        return this.fail(part.error);
      default:
        return "";
    }
  }

  #start(): string {
    if (this.#hasBegun) return "";
    this.#hasBegun = true;
    const message = { ...emptyMessage(this.#model, this.#receipt), usage: this.#startUsage };
    return event("message_start", { message }) + event("ping", {});
  }

  #begin(id: string, block: object, kind: OpenBlock["kind"]): string {
    const before = this.#start() + this.#close();
    const index = this.#blocks++;
    this.#open = { id, index, kind, hasArguments: false };
    return before + event("content_block_start", { index, content_block: block });
  }

  #delta(delta: object): string {
    return event("content_block_delta", { index: this.#open?.index, delta });
  }

  #close(): string {
    if (this.#open === undefined) return "";
    const { index } = this.#open;
    this.#open = undefined;
    return event("content_block_stop", { index });
  }

  /** What waits may wait again, for a call that is among it. */
  #closeAll(): string {
    let closed = this.#close();
    while (this.#waiting.length > 0) closed += this.#writeWaiting() + this.#close();
    return closed;
  }

  #whole(block: object): string {
    const before = this.#start() + this.#close();
    const index = this.#blocks++;
    return (
      before +
      event("content_block_start", { index, content_block: block }) +
      event("content_block_stop", { index })
    );
  }

  #beginReasoning({ id, providerMetadata }: PartOf<"reasoning-start">): string {
    const block = reasoningBlock("", providerMetadata);
    return this.#begin(id, block, block.type as OpenBlock["kind"]);
  }

  /** Some providers begin a text once, and go on with it after what came between. */
  #addText({ id, delta }: PartOf<"text-delta">): string {
    const begun = this.#open?.id === id ? "" : this.#begin(id, textBlock(""), "text");
    return begun + this.#delta({ type: "text_delta", text: delta });
  }

  #addReasoning({ id, delta, providerMetadata }: PartOf<"reasoning-delta">): string {
    const { signature } = { ...providerMetadata?.anthropic };
    const isSigned = typeof signature === "string";
    if (delta === "" && !isSigned) return "";
    const begun =
      this.#open?.id === id ? "" : this.#beginReasoning({ type: "reasoning-start", id });
    const thinking = delta === "" ? "" : this.#delta({ type: "thinking_delta", thinking: delta });
    return begun + thinking + (isSigned ? this.#delta({ type: "signature_delta", signature }) : "");
  }

  #beginTool(id: string, name: string): string {
    this.#hasTools = true;
    return this.#begin(id, toolBlock(id, name, {}), "tool_use");
  }

  #addArguments(id: string, json: string): string {
    if (this.#open?.id !== id || json === "") return "";
    this.#open.hasArguments = true;
    return this.#delta({ type: "input_json_delta", partial_json: json });
  }

  /** The whole call: news where its provider has not streamed its arguments, or there are none. */
  #endTool({ toolCallId, toolName, input }: PartOf<"tool-call">): string {
    const begun = this.#open?.id === toolCallId ? "" : this.#beginTool(toolCallId, toolName);
    const all = this.#open?.hasArguments ? "" : this.#addArguments(toolCallId, toArguments(input));
    return begun + all + this.#close();
  }

  #finish({ usage, finishReason, providerMetadata }: PartOf<"finish">): string {
    if (this.#ending === "failed") return "";
    const rest = this.#start() + this.#closeAll();
    try {
      const stop = toStop(finishReason, providerMetadata, this.#hasTools, () =>
        toFinishReason(finishReason),
      );
      this.#ending = "finished";
      return rest + this.#messageDelta(stop, usage);
    } catch (error) {
      return rest + this.fail(error);
    }
  }

  #messageDelta(stop: ReturnType<typeof toStop>, usage: LanguageModelV4Usage): string {
    return event("message_delta", {
      delta: { ...stop, container: null },
      usage: toUsage(usage),
    });
  }
}

/** An event, named as it is typed. */
function event(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}
