// WebM with Opus in it, as browsers record it: elements, each with an id and a size.
import { hasText, placeOf, UnboundedAudio } from "./bytes.ts";
import { LONGEST_PACKET, packetSeconds } from "./opus.ts";

const SEGMENT = 0x18538067;
const CLUSTER = 0x1f43b675;
const CLUSTER_ID = "\u001fC\u00b6u";
const TRACKS = 0x1654ae6b;
const TRACK = 0xae;
const BLOCK_GROUP = 0xa0;
const INSIDE = new Set([SEGMENT, CLUSTER, TRACKS, TRACK, BLOCK_GROUP]);
const CODEC = 0x86;
const ENCODINGS = 0x6d80;
const BLOCKS = new Set([0xa1, 0xa3]);

/** Seconds of all packets, as if those of a video were audio too. */
export function webmSeconds(bytes: Uint8Array): number {
  let seconds = 0;
  let isOpus = false;
  for (let at = 0; at < bytes.length; ) {
    const id = read(bytes, at, false);
    const size = read(bytes, id.end, true);
    const begin = size.end;
    if (INSIDE.has(id.value)) {
      at = begin;
      continue;
    }
    at = begin + size.value;
    if (size.isUnknown || at > bytes.length)
      throw new UnboundedAudio("a WebM file that is cut off");
    // After a fault, a decoder goes on at the next cluster that it sees, wherever that is.
    if (placeOf(bytes.subarray(begin, at), CLUSTER_ID) >= 0)
      throw new UnboundedAudio("a WebM file with a cluster where none belongs");
    if (id.value === ENCODINGS) throw new UnboundedAudio("a WebM file that is packed or encrypted");
    if (id.value === CODEC && hasText(bytes, "A_", begin)) {
      isOpus = hasText(bytes, "A_OPUS", begin);
      if (!isOpus) break;
    }
    if (BLOCKS.has(id.value)) seconds += blockSeconds(bytes, begin);
  }
  if (!isOpus) throw new UnboundedAudio("a WebM file without Opus");
  return seconds;
}

function blockSeconds(bytes: Uint8Array, at: number): number {
  const data = read(bytes, at, true).end + 3;
  const isLaced = ((bytes[data - 1] ?? 0) & 6) !== 0;
  return isLaced ? ((bytes[data] ?? 0) + 1) * LONGEST_PACKET : packetSeconds(bytes, data);
}

/** A number that says by its leading zeros how long it is; they are part of an id, and not of a size. */
function read(bytes: Uint8Array, at: number, isSize: boolean) {
  const first = bytes[at] ?? 0;
  const length = Math.clz32(first) - 23;
  if (length > (isSize ? 8 : 4)) throw new UnboundedAudio("a WebM file that cannot be read");
  let value = isSize ? first & (0xff >> length) : first;
  let ones = value === 0xff >> length ? 1 : 0;
  for (let i = 1; i < length; i++) {
    const next = bytes[at + i] ?? 0;
    if (next !== 0xff) ones = 0;
    value = value * 256 + next;
  }
  return { value, end: at + length, isUnknown: isSize && ones === 1 };
}
