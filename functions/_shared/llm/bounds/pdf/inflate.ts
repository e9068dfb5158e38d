// Decompression (RFC 1950 and 1951) that stops at a limit. The runtimes' own does not: Deno 2.1 ignores zlib's
// maxOutputLength, and a file of 700 kB can become 700 MB.

/** Says that data is no deflate stream, is cut, or becomes larger than was allowed. */
export class InflateError extends Error {}

const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
  163, 195, 227, 258,
];
const LENGTH_EXTRA = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
  3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRA = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const MAX_BITS = 15;
const END_OF_BLOCK = 256;

/**
 * The bytes that a zlib stream stands for; what follows it is ignored.
 * @throws InflateError for what is no such stream, and for one that becomes more than `limit` bytes.
 */
export function inflate(data: Uint8Array, limit: number): Uint8Array {
  const [method = 0, flags = 0] = data;
  if ((method & 15) !== 8 || ((method << 8) | flags) % 31 !== 0 || (flags & 32) !== 0) {
    throw new InflateError("no zlib stream");
  }
  const input = new Bits(data.subarray(2));
  const output = new Output(limit);
  let isLast: boolean;
  do {
    isLast = input.take(1) === 1;
    const type = input.take(2);
    if (type === 0) output.append(input.stored());
    else if (type === 1) copyBlock(input, output, fixedLiterals(), fixedDistances());
    else if (type === 2) copyBlock(input, output, ...readCodes(input));
    else throw new InflateError("unknown block");
  } while (!isLast);
  return output.bytes();
}

class Bits {
  #at = 0;
  #held = 0;
  #count = 0;
  constructor(readonly data: Uint8Array) {}

  take(count: number): number {
    while (this.#count < count) {
      if (this.#at >= this.data.length) throw new InflateError("cut");
      this.#held |= (this.data[this.#at++] ?? 0) << this.#count;
      this.#count += 8;
    }
    const value = this.#held & ((1 << count) - 1);
    this.#held >>>= count;
    this.#count -= count;
    return value;
  }

  /** A block that is not compressed; it begins at a whole byte. */
  stored(): Uint8Array {
    this.#held = 0;
    this.#count = 0;
    const length = this.take(16);
    if (length !== (this.take(16) ^ 0xffff)) throw new InflateError("wrong length");
    if (this.#at + length > this.data.length) throw new InflateError("cut");
    this.#at += length;
    return this.data.subarray(this.#at - length, this.#at);
  }
}

class Output {
  #bytes = new Uint8Array(1024);
  #length = 0;
  constructor(readonly limit: number) {}

  push(byte: number): void {
    this.#room(1);
    this.#bytes[this.#length++] = byte;
  }

  append(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Repeats what stands `distance` bytes back; it may overlap what it writes. */
  repeat(distance: number, length: number): void {
    if (distance > this.#length) throw new InflateError("too far back");
    this.#room(length);
    for (let left = length; left > 0; left--, this.#length++) {
      this.#bytes[this.#length] = this.#bytes[this.#length - distance] ?? 0;
    }
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(count: number): void {
    const needed = this.#length + count;
    if (needed > this.limit) throw new InflateError("too large");
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** Huffman's code in its canonical form: how many codes each length has, and the symbols in the order of their codes. */
interface Code {
  counts: Uint16Array;
  symbols: Uint16Array;
}

function codeOf(lengths: Uint8Array): Code {
  const counts = new Uint16Array(MAX_BITS + 1);
  for (const length of lengths) counts[length] = (counts[length] ?? 0) + 1;
  counts[0] = 0;
  const next = new Uint16Array(MAX_BITS + 2);
  for (let bits = 1; bits <= MAX_BITS; bits++) {
    next[bits + 1] = (next[bits] ?? 0) + (counts[bits] ?? 0);
  }
  const symbols = new Uint16Array(lengths.length);
  for (const [symbol, length] of lengths.entries()) {
    if (length === 0) continue;
    const place = next[length] ?? 0;
    symbols[place] = symbol;
    next[length] = place + 1;
  }
  return { counts, symbols };
}

function readSymbol(input: Bits, { counts, symbols }: Code): number {
  let code = 0;
  let first = 0;
  let index = 0;
  for (let bits = 1; bits <= MAX_BITS; bits++) {
    code |= input.take(1);
    const count = counts[bits] ?? 0;
    if (code - first < count) return symbols[index + code - first] ?? 0;
    index += count;
    first = (first + count) << 1;
    code <<= 1;
  }
  throw new InflateError("unknown code");
}

function copyBlock(input: Bits, output: Output, literals: Code, distances: Code): void {
  for (;;) {
    const symbol = readSymbol(input, literals);
    if (symbol < END_OF_BLOCK) {
      output.push(symbol);
      continue;
    }
    if (symbol === END_OF_BLOCK) return;
    const length = withExtra(input, LENGTH_BASE, LENGTH_EXTRA, symbol - END_OF_BLOCK - 1);
    const place = readSymbol(input, distances);
    output.repeat(withExtra(input, DISTANCE_BASE, DISTANCE_EXTRA, place), length);
  }
}

function withExtra(input: Bits, base: number[], extra: number[], place: number): number {
  const least = base[place];
  if (least === undefined) throw new InflateError("unknown length");
  return least + input.take(extra[place] ?? 0);
}

/** The codes of a block that brings its own. */
function readCodes(input: Bits): [literals: Code, distances: Code] {
  const literals = input.take(5) + 257;
  const distances = input.take(5) + 1;
  const used = input.take(4) + 4;
  const codeLengths = new Uint8Array(19);
  for (const place of CODE_LENGTH_ORDER.slice(0, used)) codeLengths[place] = input.take(3);
  const code = codeOf(codeLengths);
  const lengths = new Uint8Array(literals + distances);
  for (let at = 0; at < lengths.length; ) {
    const symbol = readSymbol(input, code);
    if (symbol < 16) {
      lengths[at++] = symbol;
      continue;
    }
    const value = symbol === 16 ? lengths[at - 1] : 0;
    if (value === undefined) throw new InflateError("nothing to repeat");
    const times =
      symbol === 16 ? 3 + input.take(2) : symbol === 17 ? 3 + input.take(3) : 11 + input.take(7);
    if (at + times > lengths.length) throw new InflateError("too many lengths");
    lengths.fill(value, at, at + times);
    at += times;
  }
  return [codeOf(lengths.subarray(0, literals)), codeOf(lengths.subarray(literals))];
}

function fixedLiterals(): Code {
  const lengths = new Uint8Array(288);
  lengths.fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280);
  return codeOf(lengths);
}

function fixedDistances(): Code {
  return codeOf(new Uint8Array(30).fill(5));
}
