// WAV: samples of one size, one after the other.
import { hasText, UnboundedAudio, viewOf } from "./bytes.ts";

/** PCM, floats, A-law and µ-law: of others the size of a sample is not known. */
const PLAIN = new Set([1, 3, 6, 7]);
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
    if (!PLAIN.has(isLong ? view.getUint16(at + 32, true) : format)) break;
    const channels = view.getUint16(at + 10, true);
    const rate = view.getUint32(at + 12, true);
    const bits = view.getUint16(at + 22, true);
    const bytesPerSecond = (rate * channels * bits) / 8;
    if (bytesPerSecond > 0) return bytes.length / bytesPerSecond;
    break;
  }
  throw new UnboundedAudio("a WAV file of a kind that is not known here");
}
