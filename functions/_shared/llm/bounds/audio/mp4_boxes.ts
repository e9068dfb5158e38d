// The boxes of an MP4 that say how many frames it has, and how long it is.
import { UnboundedAudio, viewOf } from "./bytes.ts";

/**
 * Bytes of a sample that count as one frame: a channel's have 6,144 bits at most (ISO/IEC 14496-3, 4.5.3). A sample is one frame
 * (ISO/IEC 14496-14), but FFmpeg goes on in it after the frame's end: `aac_decode_frame` of its libavcodec/aac/aacdec.c. Where a frame
 * ends, only its decoding says, so that a file made by hand may still hide short ones, or one of a lower rate: then what the provider says is charged.
 */
const FRAME_BYTES = 768;

/** What the boxes say, so far. */
export interface Said {
  /** Of all tracks. */
  frames: number;
  /** How often all of them may be played. */
  plays: number;
  /** The largest size that is stated for samples which do not state theirs. */
  sampleBytes: number;
  /** Time units of a second, as the file or its track stated last. */
  scale: number;
  /** Seconds of the longest track, by the times of its samples. */
  track: number;
  /** Seconds of the file. */
  movie: number;
}

export const cutOff = () => new UnboundedAudio("an MP4 file that is cut off");

/** A box's content: a version, flags, and numbers. */
export class BoxReader {
  readonly #view: DataView;
  #at = 4;
  readonly version: number;
  readonly flags: number;

  /** @throws UnboundedAudio */
  constructor(content: Uint8Array) {
    if (content.length < 4) throw cutOff();
    this.#view = viewOf(content);
    this.version = this.#view.getUint8(0);
    this.flags = this.#view.getUint32(0) & 0xffffff;
  }

  /** The next number. @throws UnboundedAudio where the box has none. */
  next(bytes: 2 | 4 | 8 = 4): number {
    const at = this.#at;
    this.skip(bytes);
    if (this.#at > this.#view.byteLength) throw cutOff();
    if (bytes === 2) return this.#view.getUint16(at);
    return bytes === 4 ? this.#view.getUint32(at) : Number(this.#view.getBigUint64(at));
  }

  /** The next time: longer in a later version of a box. */
  time(): number {
    return this.next(this.version === 0 ? 4 : 8);
  }

  skip(bytes: number): void {
    this.#at += bytes;
  }
}

/** What each box adds. */
export const READERS: Record<string, (box: BoxReader, said: Said) => void> = {
  // Whatever of it comes before its own header has no unit of time.
  trak(_, said) {
    said.scale = 0;
  },
  mvhd(box, said) {
    const length = header(box, said);
    said.movie = Math.max(said.movie, secondsOf(length, said));
  },
  // Each entry may play all of the track.
  elst(box, said) {
    said.plays = Math.max(said.plays, box.next());
  },
  mdhd(box, said) {
    header(box, said);
  },
  stts(box, said) {
    const count = box.next();
    let length = 0;
    for (let i = 0; i < count; i++) {
      const [samples, each] = [box.next(), box.next()];
      // FFmpeg then takes many samples as one (`mov_build_index` of its libavformat/mov.c), of chunks that nothing here counts.
      if (count === 1 && each === 1) throw new UnboundedAudio("an MP4 file of samples, not frames");
      length += samples * each;
    }
    said.track = Math.max(said.track, secondsOf(length, said));
  },
  stsz(box, said) {
    const [size, count] = [box.next(), box.next()];
    if (size > 0) said.frames += count * framesIn(size);
    else for (let i = 0; i < count; i++) said.frames += framesIn(box.next());
  },
  stz2(box, said) {
    const isShort = (box.next() & 0xff) < 16;
    const count = box.next();
    if (isShort) said.frames += count;
    else for (let i = 0; i < count; i++) said.frames += framesIn(box.next(2));
  },
  trex(box, said) {
    box.skip(12);
    said.sampleBytes = Math.max(said.sampleBytes, box.next());
  },
  tfhd(box, said) {
    if ((box.flags & 0x10) === 0) return;
    // The track, where its data begin, its description and a sample's length, where they are stated.
    box.skip(4 + (box.flags & 1 ? 8 : 0) + (box.flags & 2 ? 4 : 0) + (box.flags & 8 ? 4 : 0));
    said.sampleBytes = Math.max(said.sampleBytes, box.next());
  },
  trun(box, said) {
    const { flags } = box;
    const count = box.next();
    if ((flags & 0x200) === 0) {
      said.frames += count * framesIn(said.sampleBytes);
      return;
    }
    box.skip((flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0));
    for (let i = 0; i < count; i++) {
      box.skip(flags & 0x100 ? 4 : 0);
      said.frames += framesIn(box.next());
      box.skip((flags & 0x400 ? 4 : 0) + (flags & 0x800 ? 4 : 0));
    }
  },
};

/** Of the file or a track: its time units are noted, its length in them is given; 0 where it is not known. */
function header(box: BoxReader, said: Said): number {
  box.time();
  box.time();
  said.scale = box.next();
  const length = box.time();
  return length >= (box.version === 0 ? 2 ** 32 - 1 : 2 ** 63) ? 0 : length;
}

function secondsOf(length: number, { scale }: Said): number {
  if (length > 0 && scale === 0) throw new UnboundedAudio("an MP4 file without a unit of time");
  return length > 0 ? length / scale : 0;
}

const framesIn = (sampleBytes: number): number => Math.max(1, sampleBytes / FRAME_BYTES);
