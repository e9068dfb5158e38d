// WAV: samples of one size, one after the other.
import { hasText, UnboundedAudio, viewOf } from "./bytes.ts";

const PCM = 1;
const FLOATS = 3;
/** A-law and µ-law. */
const LAWS = new Set([6, 7]);
const EXTENSIBLE = 0xfffe;

/** Seconds, as if all of the file were samples. */
export function wavSeconds(bytes: Uint8Array): number {
  const view = viewOf(bytes);
  for (let at = 12; at + 24 <= bytes.length; ) {
    if (!hasText(bytes, "fmt ", at)) {
      const size = view.getUint32(at + 4, true);
      at += 8 + size + (size & 1);
      continue;
    }
    const format = view.getUint16(at + 8, true);
    const isLong = format === EXTENSIBLE && at + 34 <= bytes.length;
    const channels = view.getUint16(at + 10, true);
    const rate = view.getUint32(at + 12, true);
    const stated = view.getUint16(at + 22, true);
    // Some decoders read samples of the bits that are valid in them.
    const valid = (isLong && view.getUint16(at + 26, true)) || stated;
    const bits = sampleBits(
      isLong ? view.getUint16(at + 32, true) : format,
      Math.min(stated, valid),
    );
    const bytesPerSecond = (rate * channels * bits) / 8;
    if (bytesPerSecond > 0) return bytes.length / bytesPerSecond;
    break;
  }
  throw new UnboundedAudio("a WAV file of a kind that is not known here");
}

/** Bits of a sample as decoders read it; 0 where that is not known. */
function sampleBits(format: number, stated: number): number {
  if (LAWS.has(format)) return 8;
  if (format === FLOATS) return stated === 32 || stated === 64 ? stated : 0;
  return format === PCM && stated >= 8 && stated <= 64 ? stated : 0;
}
