// MP4 and M4A with AAC in them: boxes, some of which count the frames.
import { hasText, UnboundedAudio, viewOf } from "./bytes.ts";

const INSIDE = new Set(["moov", "trak", "mdia", "minf", "stbl", "moof", "traf"]);
/** Where a box that counts frames has the number, from its content on. */
const COUNTS: Record<string, number> = { stsz: 8, stz2: 8, trun: 4 };
const RATES = [
  ...[96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050],
  ...[16_000, 12_000, 11_025, 8000, 7350],
];
/** AAC, and what makes it sound better at low rates: 1,024 samples a frame at the rate that is stated first. */
const AAC = new Set([2, 5, 29]);
const FRAME_SAMPLES = 1024;
/** What has no sound. */
const SILENT = ["avc1", "hvc1", "hev1", "vp09", "av01", "text", "tx3g", "tmcd"];
/** Tags of an audio's description, each within the one before. */
const [STREAM, DECODER, DECODER_CONFIG] = [3, 4, 5];
const MPEG4_AUDIO = 0x40;

/** Seconds of all frames of all tracks, at the lowest rate of any. */
export function mp4Seconds(bytes: Uint8Array): number {
  let frames = 0;
  const rates: number[] = [];
  const view = viewOf(bytes);
  for (let at = 0; at + 8 <= bytes.length; ) {
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const isLong = view.getUint32(at) === 1 && at + 16 <= bytes.length;
    const begin = at + (isLong ? 16 : 8);
    const size = isLong ? Number(view.getBigUint64(at + 8)) : view.getUint32(at);
    // Of size 0 is what goes on to the end.
    const end = size === 0 ? bytes.length : at + size;
    if (end < begin || end > bytes.length) throw new UnboundedAudio("an MP4 file that is cut off");
    const count = COUNTS[type];
    if (count !== undefined && begin + count + 4 <= bytes.length) {
      frames += view.getUint32(begin + count);
    }
    if (type === "stsd") rates.push(...ratesIn(bytes.subarray(begin, end)));
    at = INSIDE.has(type) ? begin : end;
  }
  if (rates.length === 0) throw new UnboundedAudio("an MP4 file without AAC");
  return (frames * FRAME_SAMPLES) / Math.min(...rates);
}

/** The rate of a track's description; none where it has no sound. */
function ratesIn(stsd: Uint8Array): number[] {
  // Version and flags, a count, then the first description's size and its name.
  if (SILENT.some((name) => hasText(stsd, name, 12))) return [];
  const found = stsd.findIndex((_, at) => hasText(stsd, "esds", at));
  const decoder = within(stsd, STREAM, found + 8) + 3;
  const config = within(stsd, DECODER, decoder);
  const setUp = within(stsd, DECODER_CONFIG, config + 13);
  const [first = 0, second = 0] = stsd.subarray(setUp, setUp + 2);
  const rate = RATES[((first & 7) << 1) | (second >> 7)];
  const isAac = stsd[config] === MPEG4_AUDIO && AAC.has(first >> 3);
  if (!hasText(stsd, "mp4a", 12) || !isAac || rate === undefined) {
    throw new UnboundedAudio("an MP4 file without AAC");
  }
  return [rate];
}

/** Where the content of a tag begins: its length before it has up to four bytes, of which all but the last begin with a one. */
function within(bytes: Uint8Array, tag: number, at: number): number {
  if (bytes[at] !== tag) throw new UnboundedAudio("an MP4 file without AAC");
  let end = at + 1;
  while (((bytes[end] ?? 0) & 0x80) !== 0) end += 1;
  return end + 1;
}
