// OpenAI's events of a text that is spoken: the audio in pieces, then what it used.
import type { Usage } from "../../gate/gate.ts";
import { fromBase64 } from "../../runtime/base64.ts";
import type { Pieces } from "../../runtime/pieces.ts";
import type { Product } from "../model_name.ts";
import { NoOutput, streamFailure } from "../providers/error.ts";
import { objectOf } from "./report.ts";
import { reportedUsage } from "./usage.ts";

export interface SpeechEvents {
  /** The audio; or the events as they came. */
  pieces: Pieces;
  /** Undefined where it is not said. */
  usage: Usage | undefined;
}

/**
 * Reads them to the end, and keeps the events or the audio alone: both together take much memory.
 * @throws ProviderFailure where the provider says, before any audio, that it fails; NoOutput for audio that breaks off.
 */
export async function readSpeechEvents(
  { body }: Response,
  product: Product,
  keeps: "events" | "audio",
): Promise<SpeechEvents> {
  const pieces: Pieces = [];
  let hasAudio = false;
  let last: { usage: Usage | undefined } | undefined;
  for await (const line of linesOf(body)) {
    if (keeps === "events") pieces.push(new TextEncoder().encode(line));
    const [, json] = /^data: ?(\{.*)$/m.exec(line) ?? [];
    if (json === undefined || last) continue;
    const { type, audio, usage, error } = objectOf(JSON.parse(json));
    if (type === "speech.audio.delta") {
      hasAudio = true;
      if (keeps === "audio") pieces.push(fromBase64(String(audio)));
    }
    if (type === "speech.audio.done") last = { usage: reportedUsage(product, usage) };
    else if (error && !hasAudio) throw streamFailure(error);
  }
  if (last) return { pieces, usage: last.usage };
  throw new NoOutput("The audio broke off.");
}

/** Each with the break at its end. */
async function* linesOf(body: Response["body"]): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of body ?? []) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split(/(?<=\n)/);
    rest = lines.pop() ?? "";
    yield* lines;
  }
  yield rest + decoder.decode();
}
