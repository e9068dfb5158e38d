// The interpreter's answer is a JSON object a line. It is read byte by byte, as it comes: of a line, no more is kept than
// may be shown, so that neither one of 50 MB nor a chart that nobody wants is ever held, or parsed, whole.

/** What a line may take, in bytes of text. */
export interface LineRoom {
  /** More is left out. */
  keep: number;
  /** More ends the run. */
  stop: number;
}

/** One event of a run, with what was left out of it. */
export interface Line {
  event: Record<string, unknown>;
  /** Members of which something was left out: the rest of a text, all of anything else. */
  cut: string[];
  /** False: it goes on, and is longer than the run may go on. */
  isWhole: boolean;
  /** How long it was, in bytes of text: all that came of it, whether kept or not. */
  bytes: number;
}

/** A line that is not JSON, or has no end where one must be. Says nothing of what it holds. */
export class BrokenLine extends Error {
  override readonly name = "BrokenLine";
}

/** Members that are text: of them, what fits is kept. Others are kept whole or not at all. */
const TEXTS = new Set(["text", "name", "value", "traceback"]);
/** Members without which an event cannot be understood; they are short, and kept where nothing else is. */
const NEEDED = new Set(["type"]);
const NEEDED_BYTES = 64;
const MAX_KEY_BYTES = 100;
/** Braces, names and time stamps of an event, which are not text. */
const FRAME_BYTES = 512;

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const OBJECT = 0x7b;
const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);
const DECODER = new TextDecoder();
const NULL = new TextEncoder().encode("null");
const END_OF_TEXT = new TextEncoder().encode('"');
const END_OF_OBJECT = new TextEncoder().encode("}");

export class LineReader {
  #kept = new Uint8Array(1024);
  #length = 0;
  /** Where the last whole member ends, and where the value of the present one begins. */
  #membersEnd = 0;
  #valueStart = 0;
  #depth = 0;
  #isString = false;
  #isKey = false;
  #expectsKey = false;
  #key = "";
  /** In a value of the outermost object. */
  #isValue = false;
  /** Bytes of an escape that are to come. */
  #escape = 0;
  /** Nothing is kept until the text, or the member, ends. */
  #isTrimming = false;
  #isDropping = false;
  /** Bytes of what nobody wants are not counted. */
  #isUnwanted = false;
  #isBroken = false;
  #cut: string[] = [];
  #bytes = 0;
  #room: LineRoom | undefined;
  #memberKeep = 0;

  /**
   * `roomLeft` is asked at the start of each line. With `textOnly` members that are no text are skipped, and count for
   * nothing.
   */
  constructor(
    readonly roomLeft: () => LineRoom,
    readonly textOnly = false,
  ) {}

  /**
   * The lines that end in `chunk`; the last one may be ended where it is longer than the run may go on.
   * @throws BrokenLine
   */
  *read(chunk: Uint8Array): Generator<Line> {
    for (let at = 0; at < chunk.length; ) {
      this.#room ??= this.#nextRoom();
      const short = this.#bytes === 0 ? this.#shortLine(chunk, at) : undefined;
      if (short) {
        at += short.length + 1;
        if (short.length > 0) yield this.#parse(short);
        continue;
      }
      const plain = this.#addPlain(chunk, at);
      at += plain;
      if (plain > 0) continue;
      const byte = chunk[at++] as number;
      if (byte === NEWLINE) {
        if (this.#bytes > 0) yield this.#take();
        continue;
      }
      this.#add(byte);
      if (this.#bytes > this.#room.stop) yield this.#takeStarted();
    }
  }

  /** A line that is whole in the chunk, and for which there is room whatever is in it. */
  #shortLine(chunk: Uint8Array, at: number): Uint8Array | undefined {
    const { keep, stop } = this.#room as LineRoom;
    const end = chunk.indexOf(NEWLINE, at);
    const length = end - at;
    return end >= 0 && length <= keep && length <= stop ? chunk.subarray(at, end) : undefined;
  }

  #parse(bytes: Uint8Array): Line {
    this.#room = undefined;
    const event = parseObject(DECODER.decode(bytes));
    return { event, cut: [], isWhole: true, bytes: bytes.length };
  }

  /** Takes at once what is plain within a string's value, up to where it is too long; answers how many bytes. */
  #addPlain(chunk: Uint8Array, at: number): number {
    if (!this.#isString || this.#escape > 0 || !this.#isValue || this.#isBroken) return 0;
    const isKept = !this.#isTrimming && !this.#isDropping;
    const { stop } = this.#room as LineRoom;
    const room = isKept ? Math.min(this.#memberKeep, stop) : stop;
    const most = this.#isUnwanted ? chunk.length : Math.max(room - this.#bytes, 0);
    let end = at;
    for (const last = Math.min(chunk.length, at + most); end < last; end++) {
      const byte = chunk[end];
      if (byte === QUOTE || byte === BACKSLASH || byte === NEWLINE) break;
    }
    if (!this.#isUnwanted) this.#bytes += end - at;
    if (isKept) this.#append(chunk.subarray(at, end));
    return end - at;
  }

  /** The line that the stream ended in. @throws BrokenLine */
  *end(): Generator<Line> {
    if (this.#bytes > 0) yield this.#take();
  }

  #nextRoom(): LineRoom {
    const { keep, stop } = this.roomLeft();
    return { keep: keep + FRAME_BYTES, stop: stop + FRAME_BYTES };
  }

  #add(byte: number): void {
    // An escape of six bytes stands for one character.
    if (!this.#isUnwanted && this.#escape === 0) this.#bytes++;
    if (this.#isBroken) return;
    if (this.#isString) this.#addToString(byte);
    else this.#addToStructure(byte);
  }

  #addToString(byte: number): void {
    if (this.#escape > 0) {
      this.#escape = this.#escape === 5 ? (byte === LETTER_U ? 4 : 0) : this.#escape - 1;
      this.#keep(byte);
      return;
    }
    if (byte === QUOTE) {
      this.#endString(byte);
      return;
    }
    this.#stayInRoom();
    if (byte === BACKSLASH) this.#escape = 5;
    this.#keep(byte);
  }

  #endString(byte: number): void {
    this.#isString = false;
    this.#isTrimming = false;
    this.#keep(byte);
    if (!this.#isKey) return;
    this.#isKey = false;
    this.#key = DECODER.decode(this.#kept.subarray(this.#valueStart + 1, this.#length - 1));
  }

  #addToStructure(byte: number): void {
    if (byte === QUOTE) {
      this.#startString(byte);
    } else if (this.#depth === 1 && byte === COLON) {
      this.#startValue(byte);
    } else if (this.#depth === 1 && (byte === COMMA || CLOSE.has(byte))) {
      this.#endMember(byte);
    } else {
      if (OPEN.has(byte)) this.#depth++;
      if (CLOSE.has(byte)) this.#depth--;
      if (this.#depth === 1 && OPEN.has(byte)) this.#expectsKey = true;
      this.#stayInRoom();
      this.#keep(byte);
    }
  }

  #startString(byte: number): void {
    this.#isString = true;
    this.#isKey = this.#depth === 1 && this.#expectsKey;
    if (this.#isKey) this.#valueStart = this.#length;
    this.#expectsKey = false;
    this.#keep(byte);
  }

  #startValue(byte: number): void {
    this.#keep(byte);
    this.#isValue = true;
    this.#valueStart = this.#length;
    const { keep } = this.#room as LineRoom;
    this.#memberKeep = NEEDED.has(this.#key) ? Math.max(keep, this.#bytes + NEEDED_BYTES) : keep;
    if (!this.textOnly || TEXTS.has(this.#key) || NEEDED.has(this.#key)) return;
    this.#isUnwanted = true;
    this.#dropValue();
  }

  #endMember(byte: number): void {
    this.#isValue = false;
    this.#isDropping = false;
    this.#isUnwanted = false;
    this.#membersEnd = this.#length;
    this.#expectsKey = byte === COMMA;
    if (byte !== COMMA) this.#depth--;
    this.#keep(byte);
  }

  /** From where the line is longer than may be kept, the rest of a text is left out, or all of any other member. */
  #stayInRoom(): void {
    if (this.#isKey && this.#length - this.#valueStart > MAX_KEY_BYTES) this.#isBroken = true;
    if (this.#isTrimming || this.#isDropping || !this.#isValue) return;
    if (this.#bytes <= this.#memberKeep) return;
    this.#cut.push(this.#key);
    if (this.#isCuttable()) this.#isTrimming = true;
    else this.#dropValue();
  }

  #isCuttable(): boolean {
    return this.#depth === 1 && this.#isString && TEXTS.has(this.#key);
  }

  #dropValue(): void {
    this.#length = this.#valueStart;
    this.#append(NULL);
    this.#isDropping = true;
  }

  #keep(byte: number): void {
    if (this.#isTrimming || this.#isDropping) return;
    this.#makeRoom(1);
    this.#kept[this.#length++] = byte;
  }

  #append(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length);
    this.#kept.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #makeRoom(bytes: number): void {
    if (this.#length + bytes <= this.#kept.length) return;
    const longer = new Uint8Array(Math.max(this.#kept.length * 2, this.#length + bytes));
    longer.set(this.#kept.subarray(0, this.#length));
    this.#kept = longer;
  }

  /** What there is of a line that does not end: its whole members, and the text that it is in. */
  #takeStarted(): Line {
    if (this.#isBroken || this.#kept[0] !== OBJECT) throw new BrokenLine("A line is no object.");
    if (this.#isValue && !this.#cut.includes(this.#key)) this.#cut.push(this.#key);
    if (this.#isValue && this.#isCuttable()) {
      // It is trimmed already: an escape in it is whole.
      this.#append(END_OF_TEXT);
    } else {
      this.#length = this.#membersEnd;
      if (this.#length === 0) return { ...this.#finish({}), isWhole: false };
    }
    this.#append(END_OF_OBJECT);
    return { ...this.#take(), isWhole: false };
  }

  #take(): Line {
    if (this.#isBroken) throw new BrokenLine("A line is no object.");
    return this.#finish(parseObject(DECODER.decode(this.#kept.subarray(0, this.#length))));
  }

  #finish(event: Record<string, unknown>): Line {
    const line = { event, cut: this.#cut, isWhole: true, bytes: this.#bytes };
    this.#length = this.#membersEnd = this.#valueStart = this.#depth = this.#escape = 0;
    this.#isString = this.#isKey = this.#expectsKey = this.#isValue = false;
    this.#isTrimming = this.#isDropping = this.#isUnwanted = this.#isBroken = false;
    this.#key = "";
    this.#cut = [];
    this.#bytes = 0;
    this.#room = undefined;
    return line;
  }
}

/** @throws BrokenLine, which does not quote what the code printed, as the error of JSON.parse does. */
function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Said below.
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new BrokenLine("A line of the interpreter's answer cannot be read.");
  }
  return value as Record<string, unknown>;
}
