// How long audio may be at most. Files say their length themselves, and may say what they like: their frames are counted.
import { afterTag, hasText, UnboundedAudio } from "./bytes.ts";
import { flacSeconds } from "./flac.ts";
import { mp4Seconds } from "./mp4.ts";
import { mpegSeconds } from "./mpeg.ts";
import { oggSeconds } from "./ogg.ts";
import { wavSeconds } from "./wav.ts";
import { webmSeconds } from "./webm.ts";

export { UnboundedAudio } from "./bytes.ts";

/**
 * Seconds, to the next hundredth, that no decoder gets more of out of the file. What it is, its first bytes say: its name may say anything.
 * @throws UnboundedAudio
 */
export function audioSeconds(bytes: Uint8Array): number {
  const seconds = secondsOf(bytes);
  if (seconds > 0) return Math.ceil(seconds * 100) / 100;
  throw new UnboundedAudio("a file without audio");
}

function secondsOf(bytes: Uint8Array): number {
  if (hasText(bytes, "RIFF", 0) && hasText(bytes, "WAVE", 8)) return wavSeconds(bytes);
  if (hasText(bytes, "OggS", 0)) return oggSeconds(bytes);
  if (hasText(bytes, "\u001aE\u00df\u00a3", 0)) return webmSeconds(bytes);
  if (hasText(bytes, "ftyp", 4)) return mp4Seconds(bytes);
  const start = afterTag(bytes);
  if (hasText(bytes, "fLaC", start)) return flacSeconds(bytes, start);
  if (start > 0 || bytes[0] === 0xff) return mpegSeconds(bytes);
  throw new UnboundedAudio("a file that is none of WAV, MP3, MP4, FLAC, Ogg and WebM");
}
