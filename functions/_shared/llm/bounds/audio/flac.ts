// FLAC: frames, each with a header that says how long it is, and a checksum of that header.
import { UnboundedAudio, viewOf } from "./bytes.ts";

const RATES = [
  ...[0, 88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000],
  ...[32_000, 44_100, 48_000, 96_000],
];

/** The kind of block that says what the file is. */
const STREAM_INFO = 0;

/** Seconds of all frames that begin anywhere after `start`, where the file's own header stands. */
export function flacSeconds(bytes: Uint8Array, start: number): number {
  const view = viewOf(bytes);
  const isFirst = ((bytes[start + 4] ?? 0xff) & 0x7f) === STREAM_INFO;
  if (!isFirst) throw new UnboundedAudio("a FLAC file without a header");
  // The rate that frames have which say none: 20 bits.
  const usual = start + 22 <= bytes.length ? view.getUint32(start + 18) >>> 12 : 0;
  let seconds = 0;
  for (let at = start; at < bytes.length; at++) {
    if (bytes[at] === 0xff) seconds += frameSeconds(bytes, at, usual);
  }
  return seconds;
}

/** 0 where no frame begins. */
function frameSeconds(bytes: Uint8Array, at: number, usual: number): number {
  if (((bytes[at + 1] ?? 0) & 0xfe) !== 0xf8) return 0;
  const sizes = bytes[at + 2] ?? 0;
  const kind = bytes[at + 3] ?? 0;
  const number = bytes[at + 4] ?? 0;
  const [sizeCode, rateCode] = [sizes >> 4, sizes & 15];
  if (sizeCode === 0 || rateCode === 15 || (kind & 1) !== 0) return 0;
  // The frame's number is written as UTF-8 is: leading ones say how many bytes.
  let end = at + 4 + (number < 0x80 ? 1 : Math.max(2, Math.clz32(~(number << 24))));
  const take = (count: number) => {
    let value = 0;
    for (let i = 0; i < count; i++) value = value * 256 + (bytes[end++] ?? 0);
    return value;
  };
  const samples = samplesOf(sizeCode, take);
  const rate = rateOf(rateCode, usual, take);
  if (checksum(bytes, at, end) !== bytes[end]) return 0;
  // A frame without a rate is as long as one may be.
  return samples / (rate || 1);
}

type Take = (count: number) => number;

function samplesOf(code: number, take: Take): number {
  if (code === 6) return take(1) + 1;
  if (code === 7) return take(2) + 1;
  return code === 1 ? 192 : code < 6 ? 576 * 2 ** (code - 2) : 256 * 2 ** (code - 8);
}

function rateOf(code: number, usual: number, take: Take): number {
  if (code === 12) return take(1) * 1000;
  if (code === 13) return take(2);
  if (code === 14) return take(2) * 10;
  return code === 0 ? usual : (RATES[code] ?? 0);
}

/** CRC-8 with the polynomial x⁸ + x² + x + 1, of each byte. */
const CHECKSUMS = Uint8Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x80 ? 0x07 : 0)) & 0xff;
  return crc;
});

function checksum(bytes: Uint8Array, from: number, to: number): number {
  let crc = 0;
  for (let at = from; at < to; at++) crc = CHECKSUMS[crc ^ (bytes[at] ?? 0)] ?? 0;
  return crc;
}
