// Ogg with Opus or Vorbis in it: pages with the packets of streams.
import { hasText, UnboundedAudio, viewOf } from "./bytes.ts";
import { packetSeconds } from "./opus.ts";

/** Seconds of the packet that begins at `at`. */
type Packet = (at: number) => number;

const PAGE = 27;
const BEGINS = 2;

/** Seconds of all packets. */
export function oggSeconds(bytes: Uint8Array): number {
  const streams = new Map<number, Packet>();
  let seconds = 0;
  for (let page = 0; page >= 0; page = nextPage(bytes, page + 4)) {
    if (page + PAGE > bytes.length) break;
    const serial = viewOf(bytes).getUint32(page + 14);
    const count = bytes[page + 26] ?? 0;
    let at = page + PAGE + count;
    if (((bytes[page + 5] ?? 0) & BEGINS) !== 0) streams.set(serial, codecAt(bytes, at));
    const length = streams.get(serial) ?? streams.values().next().value;
    if (length === undefined) throw new UnboundedAudio("an Ogg file without a beginning");
    // What goes on from the page before counts again: more, and never less.
    let isStart = true;
    for (const size of bytes.subarray(page + PAGE, page + PAGE + count)) {
      if (isStart) seconds += length(at);
      isStart = size < 255;
      at += size;
    }
  }
  return seconds;
}

/** The next place where a page may begin. */
function nextPage(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0x4f, from); at >= 0; at = bytes.indexOf(0x4f, at + 1)) {
    if (hasText(bytes, "OggS", at)) return at;
  }
  return -1;
}

function codecAt(bytes: Uint8Array, at: number): Packet {
  if (hasText(bytes, "OpusHead", at)) return (packet) => packetSeconds(bytes, packet);
  if (hasText(bytes, "\u0001vorbis", at) && at + 29 <= bytes.length) {
    const rate = viewOf(bytes).getUint32(at + 12, true) || 1;
    const longest = 2 ** ((bytes[at + 28] ?? 0) >> 4);
    return () => longest / 2 / rate;
  }
  throw new UnboundedAudio("an Ogg file with neither Opus nor Vorbis in it");
}
