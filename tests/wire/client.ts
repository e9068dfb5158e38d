// What a client of OpenAI's or Anthropic's wire format, or of useChat's, sees of an answer.

export interface Seen {
  status: number;
  headers: Headers;
  /** As it came. */
  body: string;
  text: string;
  reasoning: string;
  tools: { name: string; arguments: string }[];
  /** finish_reason, or stop_reason; null when there was none. */
  finish: string | null;
  /** Error of the answer or of its stream. */
  error: { code?: string; message?: string; type?: string; param?: string | null } | undefined;
}

interface Choice {
  message?: Delta;
  delta?: Delta;
  finish_reason?: string | null;
}
interface Delta {
  content?: unknown;
  reasoning_content?: string;
  tool_calls?: { index?: number; function?: { name?: string; arguments?: string } }[];
}
interface Frame {
  choices?: Choice[];
  error?: Seen["error"] | string;
  message?: string;
}

/** Reads all of an answer. */
export async function readAnswer(response: Response): Promise<Seen> {
  const seen: Seen = {
    status: response.status,
    headers: response.headers,
    body: await response.text(),
    text: "",
    reasoning: "",
    tools: [],
    finish: null,
    error: undefined,
  };
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
  for (const frame of isStream ? framesOf(seen.body) : [parse(seen.body)]) take(seen, frame);
  return seen;
}

function framesOf(body: string): unknown[] {
  return body
    .split(/\n\n/)
    .flatMap((event) => event.split("\n").filter((line) => line.startsWith("data: ")))
    .map((line) => line.slice("data: ".length))
    .filter((line) => line !== "[DONE]")
    .map(parse);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function take(seen: Seen, frame: unknown): void {
  const { type, object } = (frame ?? {}) as { type?: string; object?: string };
  if (object === "response") {
    for (const item of (frame as ResponseObject).output) takeItem(seen, item);
    takeEnd(seen, frame as ResponseObject);
    return;
  }
  if (type?.startsWith("response.")) {
    takeResponseEvent(seen, frame as ResponseEvent);
    return;
  }
  if (type !== undefined) {
    if (!takeEvent(seen, frame as AnthropicEvent)) takePart(seen, frame as UIPart);
    return;
  }
  const { error, message, choices, text, finishReason } = (frame ?? {}) as Frame & {
    text?: string;
    finishReason?: string;
  };
  if (error !== undefined)
    seen.error = typeof error === "string" ? { code: error, message } : error;
  for (const { message, delta, finish_reason: finish } of choices ?? []) {
    takeDelta(seen, message ?? delta ?? {});
    seen.finish = finish ?? seen.finish;
  }
  // The JSON of /chat.
  seen.text += text ?? "";
  seen.finish = finishReason ?? seen.finish;
}

function takeDelta(seen: Seen, { content, reasoning_content: reasoning, tool_calls }: Delta): void {
  if (typeof content === "string") seen.text += content;
  seen.reasoning += reasoning ?? "";
  for (const [at, { index = at, function: called }] of (tool_calls ?? []).entries()) {
    seen.tools[index] ??= { name: "", arguments: "" };
    const tool = seen.tools[index];
    tool.name += called?.name ?? "";
    tool.arguments += called?.arguments ?? "";
  }
}

interface Item {
  type: string;
  name?: string;
  arguments?: string;
  content?: { text?: string }[];
  summary?: { text: string }[];
}
interface ResponseObject {
  status: string;
  output: Item[];
  incomplete_details: { reason: string } | null;
}
interface ResponseEvent {
  type: string;
  delta?: string;
  item?: Item;
  response?: ResponseObject;
}

/** An event of the Responses API. */
function takeResponseEvent(seen: Seen, { type, delta = "", item, response }: ResponseEvent): void {
  if (type === "response.output_text.delta") seen.text += delta;
  if (type === "response.reasoning_summary_text.delta") seen.reasoning += delta;
  if (type === "response.output_item.done" && item?.type === "function_call") takeItem(seen, item);
  if (type === "response.completed" || type === "response.incomplete") {
    takeEnd(seen, response as ResponseObject);
  }
}

function takeItem(seen: Seen, { name = "", arguments: json = "", ...item }: Item): void {
  if (item.type === "function_call") seen.tools.push({ name, arguments: json });
  seen.text += (item.content ?? []).map(({ text }) => text ?? "").join("");
  seen.reasoning += (item.summary ?? []).map(({ text }) => text).join("");
}

/** Its end in the words of chat completions. */
function takeEnd(seen: Seen, { status, incomplete_details: incomplete }: ResponseObject): void {
  if (status === "completed") seen.finish = seen.tools.length > 0 ? "tool_calls" : "stop";
  else
    seen.finish =
      incomplete?.reason === "max_output_tokens" ? "length" : (incomplete?.reason ?? null);
}

interface AnthropicEvent {
  type: string;
  index?: number;
  content?: AnthropicBlock[];
  content_block?: AnthropicBlock;
  delta?: { text?: string; thinking?: string; partial_json?: string; stop_reason?: string | null };
  stop_reason?: string | null;
  error?: Seen["error"];
}
interface AnthropicBlock {
  type: string;
  text?: string;
  thinking?: string;
  name?: string;
  input?: unknown;
}

/** An event of Anthropic's, or a whole message; false for what is none. */
function takeEvent(seen: Seen, event: AnthropicEvent): boolean {
  const { type, content_block: begun, delta, error } = event;
  switch (type) {
    case "message":
      for (const block of event.content ?? []) takeBlock(seen, block, JSON.stringify(block.input));
      seen.finish = event.stop_reason ?? null;
      return true;
    case "content_block_start":
      if (begun) takeBlock(seen, begun, "");
      return true;
    case "content_block_delta": {
      seen.text += delta?.text ?? "";
      seen.reasoning += delta?.thinking ?? "";
      // Blocks come one after the other.
      const tool = seen.tools.at(-1);
      if (tool) tool.arguments += delta?.partial_json ?? "";
      return true;
    }
    case "message_delta":
      seen.finish = delta?.stop_reason ?? seen.finish;
      return true;
    case "error":
      if (error === undefined) return false;
      seen.error = error;
      return true;
    default:
      return false;
  }
}

function takeBlock(seen: Seen, block: AnthropicBlock, input: string): void {
  seen.text += block.text ?? "";
  seen.reasoning += block.thinking ?? "";
  if (block.type === "tool_use") seen.tools.push({ name: block.name ?? "", arguments: input });
}

interface UIPart {
  type: string;
  delta?: string;
  errorText?: string;
  finishReason?: string;
  toolName?: string;
  input?: unknown;
}

/** A part of the AI SDK's UI message stream. */
function takePart(seen: Seen, part: UIPart): void {
  if (part.type === "text-delta") seen.text += part.delta ?? "";
  if (part.type === "reasoning-delta") seen.reasoning += part.delta ?? "";
  if (part.type === "tool-input-available") {
    seen.tools.push({ name: part.toolName ?? "", arguments: JSON.stringify(part.input) });
  }
  if (part.type === "finish") seen.finish = part.finishReason ?? "stop";
  if (part.type === "error") {
    const error = parse(part.errorText ?? "") as { error?: string; message?: string } | undefined;
    seen.error = { code: error?.error, message: error?.message };
  }
}
