// MP4 and M4A with AAC in them: boxes, some of which count the frames.
import { hasText, placeOf, UnboundedAudio, viewOf } from "./bytes.ts";
import { BoxReader, cutOff, READERS, type Said } from "./mp4_boxes.ts";

const INSIDE = new Set(["moov", "trak", "edts", "mdia", "minf", "stbl", "mvex", "moof", "traf"]);
/** What decoders find in boxes too that are passed over here, and what is packed. */
const HIDDEN = ["stsd", "moof", "traf", "cmov", ...Object.keys(READERS)];
const SET_UP = "esds";
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

/**
 * Seconds of all frames of all tracks, at the lowest rate of any, as often as an edit list may play them; or what the file says, where
 * that is more: a decoder may fill gaps with silence, and a provider may believe the file.
 */
export function mp4Seconds(bytes: Uint8Array): number {
  const said: Said = { frames: 0, plays: 1, sampleBytes: 0, scale: 0, track: 0, movie: 0 };
  let lowest = Number.POSITIVE_INFINITY;
  // Of the boxes around: a box ends within each.
  const ends = [bytes.length];
  const view = viewOf(bytes);
  for (let at = 0; at + 8 <= bytes.length; ) {
    while (at >= (ends.at(-1) ?? 0)) ends.pop();
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const isLong = view.getUint32(at) === 1 && at + 16 <= bytes.length;
    const begin = at + (isLong ? 16 : 8);
    const size = isLong ? Number(view.getBigUint64(at + 8)) : view.getUint32(at);
    // Of size 0 is what goes on to the end.
    const end = size === 0 ? bytes.length : at + size;
    if (end < begin || end > (ends.at(-1) ?? 0)) throw cutOff();
    const isInside = INSIDE.has(type);
    if (isInside) ends.push(end);
    else if (type !== "mdat") refuseHidden(bytes.subarray(begin, end), type === "stsd");
    READERS[type]?.(new BoxReader(bytes.subarray(begin, end)), said);
    if (type === "stsd") lowest = Math.min(lowest, rateIn(bytes.subarray(begin, end)));
    at = isInside ? begin : end;
  }
  if (lowest === Number.POSITIVE_INFINITY) throw new UnboundedAudio("an MP4 file without AAC");
  const { frames, plays, track, movie } = said;
  return Math.max(Math.max((frames * FRAME_SAMPLES) / lowest, track) * plays, movie);
}

/** @throws UnboundedAudio for what a decoder may find in a box, and for a set-up of it: a description may have one. */
function refuseHidden(box: Uint8Array, isDescription: boolean): void {
  if (box.length < 8) return;
  const setUp = placeOf(box, SET_UP);
  const isSetUp = setUp >= 0 && (!isDescription || placeOf(box, SET_UP, setUp + 1) >= 0);
  if (isSetUp || HIDDEN.some((name) => placeOf(box, name) >= 0))
    throw new UnboundedAudio("an MP4 file with a box where none belongs");
}

/** The rate of a track's description; infinite where it has no sound. */
function rateIn(stsd: Uint8Array): number {
  // Version and flags, a count, then the first description's size and its name.
  if (stsd.length < 16 || viewOf(stsd).getUint32(4) !== 1)
    throw new UnboundedAudio("an MP4 file with a track that is not of one kind");
  if (SILENT.some((name) => hasText(stsd, name, 12))) {
    if (placeOf(stsd, SET_UP) >= 0)
      throw new UnboundedAudio("an MP4 file with a box where none belongs");
    return Number.POSITIVE_INFINITY;
  }
  const found = placeOf(stsd, SET_UP);
  // An id of two bytes, then flags of what may stand before the decoder's.
  const stream = within(stsd, STREAM, found + 8);
  const flags = (stsd[stream + 2] ?? 0) >> 5;
  if (flags !== 0) throw new UnboundedAudio("an MP4 file without AAC");
  const config = within(stsd, DECODER, stream + 3);
  const setUp = within(stsd, DECODER_CONFIG, config + 13);
  const [first = 0, second = 0] = stsd.subarray(setUp, setUp + 2);
  const rate = RATES[((first & 7) << 1) | (second >> 7)];
  const isAac = stsd[config] === MPEG4_AUDIO && AAC.has(first >> 3);
  if (!hasText(stsd, "mp4a", 12) || !isAac || rate === undefined) {
    throw new UnboundedAudio("an MP4 file without AAC");
  }
  return rate;
}

/** Where the content of a tag begins: its length before it has up to four bytes, of which all but the last begin with a one. */
function within(bytes: Uint8Array, tag: number, at: number): number {
  if (bytes[at] !== tag) throw new UnboundedAudio("an MP4 file without AAC");
  let end = at + 1;
  while (end < at + 4 && ((bytes[end] ?? 0) & 0x80) !== 0) end += 1;
  return end + 1;
}
