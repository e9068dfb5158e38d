// What visibly came of a model: the least that it can have cost, whatever its provider reports.
import type { LanguageModelV4Content, LanguageModelV4StreamPart } from "@ai-sdk/provider";

/** What a tokenizer never merges: a word with the sign before it, three digits, a run of signs. */
const PIECES =
  /[^\r\n\p{L}\p{M}\p{N}]?[\p{L}\p{M}]+(?:['’]\p{L}{1,2})?|\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}]+/gu;
/** What no tokenizer merges, and no provider sends in another spelling than it was produced in. */
const WORDS = /[\p{L}\p{M}'’]+|\p{N}+/gu;
/** A word that a chunk ends with may go on in the next one. */
const LAST_WORD = /[\p{L}\p{M}\p{N}'’]*$/u;

const encoder = new TextEncoder();

/** Counts what a model has produced, without a tokenizer. */
export class Produced {
  #deltas = 0;
  #pieces = 0;
  #bytes = 0;
  #words = 0;
  #files = 0;
  #open = "";

  /** Counts a part of a stream. */
  add(part: LanguageModelV4StreamPart): void {
    const { type } = part;
    if (type === "text-delta" || type === "reasoning-delta" || type === "tool-input-delta") {
      this.#addText(part.delta);
    } else if (type === "file" || type === "reasoning-file") {
      this.#addFile();
    } else if (type !== "raw") {
      this.#endWord();
    }
  }

  /** Counts what an answer that did not stream consists of. */
  addContent(content: LanguageModelV4Content[]): void {
    for (const part of content) {
      if (part.type === "text" || part.type === "reasoning") this.#addText(part.text);
      else if (part.type === "tool-call") this.#addText(part.input);
      else if (part.type === "file" || part.type === "reasoning-file") this.#addFile();
      this.#endWord();
    }
  }

  /** Files, as images are. */
  get files(): number {
    return this.#files;
  }

  /** Words, however they were cut into chunks: none is less than a token. */
  get words(): number {
    return this.#words + wordsIn(this.#open) + this.#files;
  }

  /** No fewer were produced: neither a piece nor a chunk of a stream is less than a token. */
  get atLeast(): number {
    return Math.max(this.#deltas, this.#pieces) + this.#files;
  }

  /** As many as it was, about: four bytes a token, or what there was at least. */
  get about(): number {
    return Math.max(this.atLeast, Math.ceil(this.#bytes / 4));
  }

  #addText(text: string): void {
    if (text === "") return;
    this.#deltas += 1;
    this.#pieces += text.match(PIECES)?.length ?? 0;
    this.#bytes += encoder.encode(text).length;
    const open = this.#open + text;
    const last = LAST_WORD.exec(open)?.[0] ?? "";
    // Nobody's words are so long; what is kept must not grow with the answer.
    const kept = last.length > 200 ? "" : last;
    this.#words += wordsIn(open.slice(0, open.length - kept.length));
    this.#open = kept;
  }

  #addFile(): void {
    this.#files += 1;
    this.#endWord();
  }

  #endWord(): void {
    this.#words += wordsIn(this.#open);
    this.#open = "";
  }
}

function wordsIn(text: string): number {
  return text.match(WORDS)?.length ?? 0;
}
