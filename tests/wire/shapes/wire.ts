// What every provider says, whatever its format: the same answer can be put on each wire.
import type { Piece } from "../provider.ts";

export interface ToolCall {
  id: string;
  name: string;
  /** JSON, as a model wrote it. */
  arguments: string;
}

export type Finish = "stop" | "length" | "filter" | "tools";

export interface Told {
  text?: string;
  reasoning?: string;
  tools?: ToolCall[];
  /** `stop` when left out. */
  finish?: Finish;
  /** In the wire's own words; without it the provider reports nothing. */
  usage?: object;
}

/** The public format of a provider's API. */
export interface Wire {
  /** The body of an answer that does not stream. */
  whole(told: Told): object;
  /** Events of an answer that streams, in order; `begin` is what comes before anything was produced. */
  begin(told: Told): string[];
  content(told: Told): string[];
  end(told: Told): string[];
  /** A report of the least that this provider reports. */
  usage(input: number, output: number): object;
  /** The body of a refusal. */
  refusal(status: number, code: string, message: string): object;
  /** An error that is said in a stream. */
  failure(message: string): string;
}

export function streamOf(wire: Wire, told: Told): Piece[] {
  return [...wire.begin(told), ...wire.content(told), ...wire.end(told)];
}

/** A word a chunk, as tokens come. */
export function wordsOf(text = ""): string[] {
  return text === "" ? [] : text.split(/(?<= )/);
}
