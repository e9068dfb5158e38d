// What a run of code prints, collected up to its limits.
import { type Line, LineReader } from "./run_lines.ts";

/** One piece of output, as it comes. */
export type RunEvent =
  | { type: "stdout" | "stderr"; text: string }
  /** What the code's last expression gave: its representations by format (`text`, `html`, `png` in base64, …). */
  | { type: "result"; formats: Record<string, unknown> };

export interface RunError {
  name: string;
  message: string;
  traceback: string | null;
}

/** What became of the interpreter's variables; files stay as they are. Said only where they are not kept, or may not be. */
export type InterpreterState = "restarted" | "unknown";

export interface RunResult {
  stdout: string;
  stderr: string;
  results: Record<string, unknown>[];
  /** What the code threw, `RunTimeout` when it took too long, `RunAborted` when nobody waited for it any more. */
  error: RunError | null;
  /** Something of what it printed is left out. */
  isTruncated: boolean;
  /** What is left out, and why, in a sentence; with `isTruncated` only. */
  notice?: string;
  /** `restarted`: the run could only be stopped with its variables; `unknown`: it may run on. */
  state?: InterpreterState;
  /** From its start to its end. */
  seconds: number;
}

/** How much of its output a run may have, and may be shown. */
export interface OutputLimits {
  /** Bytes that it may print, in all channels together; then it is stopped. */
  maxBytes: number;
  /** Bytes that are shown; `maxBytes` when left out. */
  shownBytes?: number;
  /** Results have their text alone; what else they have counts for nothing. */
  textOnly?: boolean;
  /** Bytes that each piece costs to pass on, beside what is in it. */
  pieceBytes?: number;
}

/** JSON writes a line's end in two bytes, and a control character in six: what that adds to the limit at most. */
const JSON_BYTES = 512;
/** Of an error, so much is shown in any case. */
const NAME_BYTES = 128;
const MESSAGE_BYTES = 384;
/** A result in the answer, beside what is in it: `{"text":""},`. */
const RESULT_BYTES = 16;
/** The interpreter writes a character in up to three times its bytes, and frames each piece. */
const wireBytes = (maxBytes: number) => 5 * maxBytes + 65_536;
/** Charts and the like that nobody wants, but which have to be read. */
const UNWANTED_BYTES = 16_000_000;

export class RunOutput {
  readonly result: RunResult = {
    stdout: "",
    stderr: "",
    results: [],
    error: null,
    isTruncated: false,
    seconds: 0,
  };
  /** The interpreter has begun with the code; it may have had others to run first. */
  hasBegun = false;
  /** The interpreter has said that the code has ended. */
  hasEnded = false;
  /** It has printed more than it may, and is to be stopped. */
  isOverLimit = false;

  readonly #reader: LineReader;
  readonly #shown: number;
  readonly #wire: number;
  readonly #leftOut = new Set<string>();
  /** Bytes of text that were shown, the same as JSON has them, all that were printed, and all that came. */
  #text = 0;
  #json = 0;
  #printed = 0;
  #read = 0;

  constructor(
    readonly limits: OutputLimits,
    readonly emit: (event: RunEvent) => void = () => {},
  ) {
    this.#shown = Math.min(limits.shownBytes ?? limits.maxBytes, limits.maxBytes);
    this.#wire = wireBytes(limits.maxBytes) + (limits.textOnly ? UNWANTED_BYTES : 0);
    this.#reader = new LineReader(
      () => ({ keep: this.#shown - this.#text, stop: limits.maxBytes - this.#printed }),
      limits.textOnly,
    );
  }

  /**
   * Takes what came of the interpreter's answer; false when no more is wanted.
   * @throws BrokenLine
   */
  push(chunk: Uint8Array): boolean {
    this.#read += chunk.length;
    return this.#take(this.#reader.read(chunk)) && this.#isInLimits();
  }

  /** The answer has come to its end. @throws BrokenLine */
  finish(): void {
    this.#take(this.#reader.end());
  }

  /** The result, with what there is to say of it. */
  ended(seconds: number, state?: InterpreterState): RunResult {
    const { result } = this;
    result.seconds = seconds;
    result.state = state;
    if (result.isTruncated) result.notice = this.#notice();
    return result;
  }

  #notice(): string {
    const end = this.isOverLimit ? "; the run was ended there" : "; the code ran on";
    return `The output is limited to ${this.#shown} bytes. Left out: ${[...this.#leftOut].join(", ")}${end}.`;
  }

  #take(lines: Iterable<Line>): boolean {
    for (const line of lines) {
      this.#add(line);
      this.isOverLimit ||= !line.isWhole;
      if (this.hasEnded || !this.#isInLimits()) return false;
    }
    return true;
  }

  #isInLimits(): boolean {
    this.isOverLimit ||= this.#printed > this.limits.maxBytes || this.#read > this.#wire;
    if (this.isOverLimit && this.#leftOut.size === 0) this.#leaveOut("what came then");
    return !this.isOverLimit;
  }

  #add(line: Line): void {
    const { event } = line;
    const type = typeof event.type === "string" ? event.type : guessType(event);
    switch (type) {
      case "stdout":
      case "stderr":
        this.#addText(type, line);
        break;
      case "result":
        this.#addResult(line);
        break;
      case "error":
        this.#addError(line);
        break;
      case "end_of_execution":
        this.hasEnded = true;
        return;
      case "number_of_executions":
        break;
      default:
        // Signs of life, and what later versions say.
        return;
    }
    this.hasBegun = true;
  }

  #addText(type: "stdout" | "stderr", { event, cut, bytes }: Line): void {
    const whole = textOf(event.text);
    const text = this.#fit(whole);
    const isCut = cut.includes("text");
    this.#printed += isCut ? bytes : measure(whole).text;
    if (isCut || text.length < whole.length) this.#leaveOut(type);
    if (text === "") return;
    this.result[type] += text;
    this.#pass({ type, text });
  }

  #addResult({ event, cut, bytes }: Line): void {
    const { type: _, is_main_result: __, text, ...others } = event;
    const formats: Record<string, unknown> = {};
    let printed = 0;
    if (typeof text === "string") {
      formats.text = this.#fit(text);
      printed += measure(text).text;
      if (formats.text !== text || cut.includes("text")) this.#leaveOut("result");
    }
    for (const [name, value] of Object.entries(others)) {
      if (isEmpty(value) || this.limits.textOnly) continue;
      const { text: size } = measure(JSON.stringify({ [name]: value }));
      printed += size;
      if (this.#fits(size)) formats[name] = value;
      else this.#leaveOut(`${name} of a result`);
    }
    for (const name of cut) if (name !== "text") this.#leaveOut(`${name} of a result`);
    this.#printed += cut.length > 0 ? Math.max(printed, bytes) : printed;
    this.#addFormats(formats);
  }

  #addFormats(formats: Record<string, unknown>): void {
    const isEmptied = !this.limits.textOnly && !Object.values(formats).some((each) => each !== "");
    if (isEmptied) return;
    if (!this.#fits(0, RESULT_BYTES)) {
      this.#leaveOut("result");
      return;
    }
    this.result.results.push(formats);
    this.#pass({ type: "result", formats });
  }

  #addError({ event, cut, bytes }: Line): void {
    const whole = [event.name, event.value, event.traceback].map(textOf) as [
      string,
      string,
      string,
    ];
    const name = beginning(whole[0], NAME_BYTES);
    const least = beginning(whole[1], MESSAGE_BYTES);
    const message = least + this.#fit(whole[1].slice(least.length));
    const traceback = this.#fit(whole[2]);
    if (cut.length > 0 || [name, message, traceback].join() !== whole.join()) {
      this.#leaveOut("error");
    }
    // An error that is not long does not end a run that has ended.
    const free = measure(name).text + measure(least).text;
    this.#printed += Math.max(cut.length > 0 ? bytes : 0, measure(whole.join("")).text - free);
    this.result.error = { name, message, traceback: traceback === "" ? null : traceback };
  }

  /** The beginning of a text for which there is room, which it takes. */
  #fit(text: string): string {
    const size = measure(text, this.#textRoom(), this.#jsonRoom() - (this.limits.pieceBytes ?? 0));
    this.#text += size.text;
    this.#json += size.json;
    return text.slice(0, size.units);
  }

  /** Whether there is room for something that is shown whole or not at all; then it takes it. */
  #fits(text: number, json = text): boolean {
    if (text > this.#textRoom() || json > this.#jsonRoom()) return false;
    this.#text += text;
    this.#json += json;
    return true;
  }

  #textRoom(): number {
    return this.#shown - this.#text;
  }

  #jsonRoom(): number {
    return this.#shown + JSON_BYTES - this.#json;
  }

  #pass(event: RunEvent): void {
    this.#json += this.limits.pieceBytes ?? 0;
    this.emit(event);
  }

  #leaveOut(what: string): void {
    if (this.#leftOut.size < 5) this.#leftOut.add(what.slice(0, 40));
    this.result.isTruncated = true;
  }
}

/** So much of a text as JSON has in these bytes. */
function beginning(text: string, bytes: number): string {
  return text.slice(0, measure(text, bytes, bytes).units);
}

/** Of an event that was cut before it said its type. */
function guessType(event: Record<string, unknown>): string | undefined {
  if (event.traceback !== undefined || event.name !== undefined) return "error";
  return typeof event.text === "string" ? "stdout" : undefined;
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  // Some kernels give a traceback in lines.
  return Array.isArray(value) ? value.join("\n") : "";
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

interface Size {
  /** Characters as JavaScript counts them. */
  units: number;
  /** Bytes as UTF-8, and as JSON has them. */
  text: number;
  json: number;
}

/** How large the longest beginning of `text` is that is in both limits; it ends between two characters. */
function measure(text: string, textBytes = Infinity, jsonBytes = Infinity): Size {
  const size = { units: 0, text: 0, json: 0 };
  while (size.units < text.length) {
    const code = text.codePointAt(size.units) as number;
    const bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    const json = size.json + bytes + escapeBytes(code);
    if (size.text + bytes > textBytes || json > jsonBytes) break;
    size.units += bytes === 4 ? 2 : 1;
    size.text += bytes;
    size.json = json;
  }
  return size;
}

const SHORT_ESCAPES = new Set(
  ['"', "\\", "\b", "\t", "\n", "\f", "\r"].map((each) => each.charCodeAt(0)),
);

/** What JSON adds to a character. */
function escapeBytes(code: number): number {
  if (code < 0x20) return SHORT_ESCAPES.has(code) ? 1 : 5;
  if (code === 0x22 || code === 0x5c) return 1;
  return code >= 0xd800 && code < 0xe000 ? 3 : 0;
}
