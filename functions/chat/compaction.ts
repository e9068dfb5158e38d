// Long conversations made short: the older messages become a summary by a cheaper model, gated and booked
// like any call.
import { generateText, type UIMessage } from "ai";
import { type SpendgateError, toSpendgateError } from "../_shared/errors.ts";
import type { Metering } from "../_shared/gate/metering.ts";
import { modelLimits } from "../_shared/llm/bounds/model_limits.ts";
import { bytesOf } from "../_shared/llm/bounds/token_bound.ts";
import { meteredModel } from "../_shared/llm/metered_model.ts";
import { parseModelName } from "../_shared/llm/model_name.ts";
import { activeContext } from "../_shared/runtime/telemetry/context.ts";
import { SPANS } from "../_shared/runtime/telemetry/names.ts";
import { inSpan } from "../_shared/runtime/telemetry/spans.ts";

export interface Compaction {
  /** The conversation to go on with. */
  messages: UIMessage[];
  /** How many messages were replaced. */
  replaced: number;
  /** Null when the older messages were dropped without one. */
  summary: string | null;
  /** Why there is no summary. */
  error?: SpendgateError;
}

const SUMMARY_TOKENS = 1024;
const INSTRUCTIONS =
  "Summarise the conversation below for the assistant that goes on with it: facts, decisions, open questions, " +
  "names and figures, in the conversation's language. Write nothing else.";

/**
 * The conversation, compacted where it outgrows its share of the model's context. A summary that is refused or
 * fails does not keep the chat from going on: then the older messages are left out.
 */
export async function fitConversation(
  messages: UIMessage[],
  model: string,
  metering: Metering,
): Promise<Compaction> {
  const room = modelLimits(parseModelName(model)).context * metering.env.compactionShare;
  if (tokensOf(messages) <= room) return { messages, replaced: 0, summary: null };
  try {
    const older = split(messages, firstWithin(messages, room / 2));
    return await summarise(older, inHalfTheTime(metering));
  } catch (error) {
    const { head, older, recent } = split(messages, firstWithin(messages, room));
    return {
      messages: [...head, ...recent],
      replaced: older.length,
      summary: null,
      error: toSpendgateError(error),
    };
  }
}

/** A summary that takes too long leaves the chat itself as much time. */
function inHalfTheTime(metering: Metering): Metering {
  const { deadline = Date.now() + metering.env.callTimeoutMs } = metering;
  return { ...metering, deadline: (Date.now() + deadline) / 2 };
}

/**
 * Replaces all but the last `keep` messages by a summary; system messages stay.
 * @throws SpendgateError what the gate says, or upstream_error.
 */
export function compact(
  messages: UIMessage[],
  keep: number,
  metering: Metering,
  model?: string,
): Promise<Compaction> {
  let cut = Math.max(messages.length - keep, 0);
  while (cut > 0 && messages[cut]?.role !== "user") cut--;
  return summarise(split(messages, cut), metering, model);
}

interface Split {
  /** System messages at the front: they stay. */
  head: UIMessage[];
  older: UIMessage[];
  recent: UIMessage[];
}

async function summarise(
  { head, older, recent }: Split,
  metering: Metering,
  model = metering.env.compactionModel,
): Promise<Compaction> {
  if (older.length === 0) return { messages: [...head, ...recent], replaced: 0, summary: null };
  const { text } = await inSpan(SPANS.compaction, { parent: metering.trace }, () =>
    generateText({
      model: meteredModel(model, {
        ...metering,
        task: "compaction",
        onFirstToken: undefined,
        trace: activeContext(),
      }),
      instructions: INSTRUCTIONS,
      prompt: transcript(older, model),
      maxOutputTokens: SUMMARY_TOKENS,
      maxRetries: 0,
    }),
  );
  const summary: UIMessage = {
    id: "summary",
    role: "system",
    parts: [{ type: "text", text: `Summary of the conversation so far:\n${text}` }],
  };
  return { messages: [...head, summary, ...recent], replaced: older.length, summary: text };
}

function split(messages: UIMessage[], cut: number): Split {
  const first = messages.findIndex((message) => message.role !== "system");
  const start = first < 0 ? messages.length : first;
  return {
    head: messages.slice(0, start),
    older: messages.slice(start, cut),
    recent: messages.slice(Math.max(start, cut)),
  };
}

/** The earliest message of the user from which on the conversation counts no more than `tokens`; else the last. */
function firstWithin(messages: UIMessage[], tokens: number): number {
  let [bytes, last] = [0, -1];
  let first = 0;
  for (let index = messages.length - 1; index >= 0; index--) {
    const message = messages[index] as UIMessage;
    bytes += bytesOf(`${textOf(message)}\n`);
    if (message.role !== "user") continue;
    if (last < 0) first = last = index;
    else if (bytes > tokens * BYTES_PER_TOKEN) break;
    else first = index;
  }
  return first;
}

/** About. A bound would compact far too early. */
const BYTES_PER_TOKEN = 4;

function tokensOf(messages: UIMessage[]): number {
  return Math.ceil(bytesOf(messages.map(textOf).join("\n")) / BYTES_PER_TOKEN);
}

/** The older messages as text, the newest of them where the model that summarises has no room for all. */
function transcript(messages: UIMessage[], model: string): string {
  const text = messages.map((message) => `${message.role}: ${textOf(message)}`).join("\n\n");
  // One byte a token at worst: half of the context fits in any case.
  return text.slice(-modelLimits(parseModelName(model)).context / 2);
}

function textOf(message: UIMessage): string {
  return message.parts
    .map((part) => {
      if (part.type === "text") return part.text;
      if (!("toolCallId" in part)) return "";
      return JSON.stringify({ tool: part.type, input: part.input, output: part.output });
    })
    .join("");
}
