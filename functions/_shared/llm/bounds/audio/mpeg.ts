// MP3, and the other layers of MPEG audio: frames, each with a header that says how long it is.
import { afterTag, UnboundedAudio } from "./bytes.ts";

/** By version (2.5, none, 2, 1): what rates are divided by. */
const DIVISORS = [4, 0, 2, 1];
const RATES = [44_100, 48_000, 32_000];
/** kbit/s by their codes: of MPEG 1 by its layer (none, III, II, I), then of what came later. */
const BITRATES = [
  [],
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
];
const LATER_BITRATES = [
  [],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
];
/** Twice as many as the largest file of the shortest frames has. Lists of them are made at once: as they grew, they were copied. */
const MOST_FRAMES = 2_000_000;

/**
 * Seconds of the longest row of frames that do not overlap, wherever they begin: a decoder may begin elsewhere, and go
 * on elsewhere after a fault, and finds no longer one. Most bytes are in its frames, or the file is something else.
 */
export function mpegSeconds(bytes: Uint8Array): number {
  const start = afterTag(bytes);
  if (!frameAt(bytes, start)) throw new UnboundedAudio("no MPEG audio");
  // From the end: where a row begins that is longer than all that begin later, how long it is, and its frames' bytes.
  const most = Math.min(MOST_FRAMES, bytes.length);
  const begins = new Uint32Array(most);
  const longest = new Float64Array(most);
  const covered = new Uint32Array(most);
  let count = 0;
  for (let at = bytes.length - 4; at >= 0; at--) {
    const frame = bytes[at] === 0xff ? frameAt(bytes, at) : undefined;
    if (!frame) continue;
    const next = lastFrom(begins, count, at + frame.bytes);
    const rest = longest[next] ?? 0;
    if (frame.seconds + rest <= (longest[count - 1] ?? 0)) continue;
    if (count === most) throw new UnboundedAudio("no MPEG audio");
    begins[count] = at;
    longest[count] = frame.seconds + rest;
    covered[count] = Math.min(frame.bytes, bytes.length - at) + (covered[next] ?? 0);
    count += 1;
  }
  if ((covered[count - 1] ?? 0) * 2 < bytes.length - start)
    throw new UnboundedAudio("no MPEG audio");
  return longest[count - 1] ?? 0;
}

/** Place of the last of the first `count` of these falling numbers that is `least` or more; -1 where none is. */
function lastFrom(falling: Uint32Array, count: number, least: number): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((falling[middle] ?? 0) >= least) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

interface Frame {
  seconds: number;
  bytes: number;
}

/** The frame whose header stands here. */
function frameAt(bytes: Uint8Array, at: number): Frame | undefined {
  const kind = bytes[at + 1] ?? 0;
  const rates = bytes[at + 2] ?? 0xff;
  if (bytes[at] !== 0xff || kind < 0xe0) return undefined;
  const [version, layer] = [(kind >> 3) & 3, (kind >> 1) & 3];
  const divisor = DIVISORS[version] ?? 0;
  const kbits = (version === 3 ? BITRATES : LATER_BITRATES)[layer]?.[rates >> 4];
  const rate = RATES[(rates >> 2) & 3];
  if (divisor === 0 || kbits === undefined || rate === undefined) return undefined;
  const samples = layer === 3 ? 384 : layer === 2 || version === 3 ? 1152 : 576;
  const seconds = (samples * divisor) / rate;
  // What states no bitrate has any length. Layer I counts in words of four bytes.
  const whole = Math.floor(seconds * kbits * 125 + 1e-6);
  const length = layer === 3 ? whole - (whole % 4) : whole;
  return { seconds, bytes: Math.max(length, 4) };
}
