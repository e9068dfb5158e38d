// Ogg with Opus or Vorbis in it: pages with the packets of streams.
import { hasText, placeOf, UnboundedAudio, viewOf } from "./bytes.ts";
import { packetSeconds } from "./opus.ts";

/** What a stream has said of itself. It may say more than once what it is, and so may bytes in it that look like a page. */
interface Stream {
  isOpus: boolean;
  /** Seconds of the longest packet of Vorbis. */
  vorbis: number;
}

const PAGE = 27;
const BEGINS = 2;

/** Seconds of all packets, each as long as it is by any codec of its stream. */
export function oggSeconds(bytes: Uint8Array): number {
  const streams = new Map<number, Stream>();
  let seconds = 0;
  let segments = 0;
  for (let page = 0; page >= 0; page = placeOf(bytes, "OggS", page + 4)) {
    if (page + PAGE > bytes.length) break;
    const serial = viewOf(bytes).getUint32(page + 14);
    const count = bytes[page + 26] ?? 0;
    segments += count;
    if (segments > bytes.length) throw new UnboundedAudio("an Ogg file whose pages overlap");
    let at = page + PAGE + count;
    if (((bytes[page + 5] ?? 0) & BEGINS) !== 0) {
      streams.set(serial, begun(streams.get(serial), bytes, at));
    }
    const stream = streams.get(serial);
    if (!stream) throw new UnboundedAudio("an Ogg file with a stream without a beginning");
    // What goes on from the page before counts again: more, and never less.
    let isStart = true;
    for (const size of bytes.subarray(page + PAGE, page + PAGE + count)) {
      if (isStart) seconds += Math.max(stream.vorbis, stream.isOpus ? packetSeconds(bytes, at) : 0);
      isStart = size < 255;
      at += size;
    }
  }
  return seconds;
}

/** The stream, once the packet at `at` has said what it is. */
function begun(stream: Stream | undefined, bytes: Uint8Array, at: number): Stream {
  const { isOpus, vorbis } = stream ?? { isOpus: false, vorbis: 0 };
  if (hasText(bytes, "OpusHead", at)) return { isOpus: true, vorbis };
  if (hasText(bytes, "\u0001vorbis", at) && at + 29 <= bytes.length) {
    const rate = viewOf(bytes).getUint32(at + 12, true) || 1;
    const longest = 2 ** ((bytes[at + 28] ?? 0) >> 4);
    return { isOpus, vorbis: Math.max(vorbis, longest / 2 / rate) };
  }
  throw new UnboundedAudio("an Ogg file with neither Opus nor Vorbis in it");
}
