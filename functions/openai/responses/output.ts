// The items of a response's output, and the events that tell of each: begun, in pieces, done.
/** Names an event that is about an item; its place and number are added. */
export type Emit = (type: string, fields: Record<string, unknown>) => string;

/** An item of the output while it comes. */
export abstract class OpenItem {
  isOpen = true;
  abstract readonly item: Record<string, unknown>;

  constructor(
    readonly emit: Emit,
    readonly index: number,
  ) {}

  begin(): string {
    return this.emit("response.output_item.added", { output_index: this.index, item: this.item });
  }

  /** Once; later ends are ignored. */
  end(status: "completed" | "incomplete"): string {
    if (!this.isOpen) return "";
    this.isOpen = false;
    return this.close() + this.#done(status);
  }

  /** Events that say what came as a whole. */
  protected abstract close(): string;

  #done(status: string): string {
    if ("status" in this.item) this.item.status = status;
    return this.emit("response.output_item.done", { output_index: this.index, item: this.item });
  }

  protected get place() {
    return { item_id: this.item.id, output_index: this.index };
  }
}

export class MessageItem extends OpenItem {
  readonly item;
  readonly #part = { type: "output_text", text: "", annotations: [], logprobs: [] };

  constructor(emit: Emit, index: number, id: string, phase: unknown) {
    super(emit, index);
    this.item = {
      id: `msg_${id}`,
      type: "message",
      status: "in_progress",
      role: "assistant",
      content: [] as object[],
      ...(typeof phase === "string" && { phase }),
    };
  }

  override begin(): string {
    const begun = super.begin();
    this.item.content.push(this.#part);
    return begun + this.emit("response.content_part.added", { ...this.#place, part: this.#part });
  }

  add(delta: string): string {
    if (delta === "") return "";
    this.#part.text += delta;
    return this.emit("response.output_text.delta", { ...this.#place, delta, logprobs: [] });
  }

  protected close(): string {
    const { text } = this.#part;
    return (
      this.emit("response.output_text.done", { ...this.#place, text, logprobs: [] }) +
      this.emit("response.content_part.done", { ...this.#place, part: this.#part })
    );
  }

  get #place() {
    return { ...this.place, content_index: 0 };
  }
}

export class FunctionCallItem extends OpenItem {
  readonly item;

  constructor(emit: Emit, index: number, id: string, callId: string, name: string) {
    super(emit, index);
    this.item = {
      id: `fc_${id}`,
      type: "function_call",
      status: "in_progress",
      call_id: callId,
      name,
      arguments: "",
    };
  }

  add(delta: string): string {
    if (delta === "") return "";
    this.item.arguments += delta;
    return this.emit("response.function_call_arguments.delta", { ...this.place, delta });
  }

  protected close(): string {
    const { name, arguments: json } = this.item;
    return this.emit("response.function_call_arguments.done", {
      ...this.place,
      name,
      arguments: json,
    });
  }
}

/** Reasoning as its summary: parts that come with one id are one item. */
export class ReasoningItem extends OpenItem {
  readonly item;
  readonly #parts = new Map<string, { type: "summary_text"; text: string }>();

  constructor(emit: Emit, index: number, id: string) {
    super(emit, index);
    this.item = {
      id: `rs_${id}`,
      type: "reasoning",
      summary: [] as object[],
      encrypted_content: null as string | null,
    };
  }

  add(partId: string, delta: string): string {
    if (delta === "") return "";
    const begun = this.#parts.has(partId) ? "" : this.#beginPart(partId);
    const part = this.#parts.get(partId);
    if (part) part.text += delta;
    return begun + this.#emitOf(partId, "response.reasoning_summary_text.delta", { delta });
  }

  protected close(): string {
    return [...this.#parts]
      .map(
        ([id, part]) =>
          this.#emitOf(id, "response.reasoning_summary_text.done", { text: part.text }) +
          this.#emitOf(id, "response.reasoning_summary_part.done", { part }),
      )
      .join("");
  }

  #beginPart(id: string): string {
    const part = { type: "summary_text" as const, text: "" };
    this.#parts.set(id, part);
    this.item.summary.push(part);
    return this.#emitOf(id, "response.reasoning_summary_part.added", { part });
  }

  #emitOf(partId: string, type: string, fields: object): string {
    const summary_index = [...this.#parts.keys()].indexOf(partId);
    return this.emit(type, { ...this.place, summary_index, ...fields });
  }
}

/** A picture that the model drew, as OpenAI tells of one. */
export class ImageItem extends OpenItem {
  readonly item;

  constructor(emit: Emit, index: number, id: string, result: string) {
    super(emit, index);
    this.item = { id: `ig_${id}`, type: "image_generation_call", status: "in_progress", result };
  }

  override begin(): string {
    const added = this.emit("response.output_item.added", {
      output_index: this.index,
      item: { ...this.item, result: null },
    });
    return added + this.emit("response.image_generation_call.in_progress", this.place);
  }

  protected close(): string {
    return this.emit("response.image_generation_call.completed", this.place);
  }
}
