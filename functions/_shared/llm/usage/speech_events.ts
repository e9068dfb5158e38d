// OpenAI's events of a text that is spoken: the audio in pieces, then what it used.
import type { Usage } from "../../gate/gate.ts";
import type { Product } from "../model_name.ts";
import { NoOutput, streamFailure } from "../providers/error.ts";
import { objectOf } from "./report.ts";
import { reportedUsage } from "./usage.ts";

export interface SpeechEvents {
  audio: Blob;
  /** Undefined where it is not said. */
  usage: Usage | undefined;
}

/** @throws ProviderFailure where the provider says, before any audio, that it fails; NoOutput for audio that breaks off. */
export function readSpeechEvents(text: string, product: Product): SpeechEvents {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (const [, json = ""] of text.matchAll(/^data: ?(\{.*)$/gm)) {
    const event = objectOf(JSON.parse(json));
    if (event.type === "speech.audio.delta") pieces.push(fromBase64(String(event.audio)));
    if (event.type === "speech.audio.done") {
      return { audio: new Blob(pieces), usage: reportedUsage(product, event.usage) };
    }
    if (event.error && pieces.length === 0) throw streamFailure(event.error);
  }
  throw new NoOutput("The audio broke off.");
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
