// How long audio is at most: files of a second, as tools and browsers write them, and files that lie about it.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { audioSeconds, UnboundedAudio } from "../../functions/_shared/llm/bounds/audio/seconds.ts";

const read = (name: string) =>
  new Uint8Array(readFileSync(new URL(`./audio/${name}`, import.meta.url)));
const joined = (...files: Uint8Array[]) => new Uint8Array(Buffer.concat(files));
/** The same with `bytes` in the place of what stood at `at`. */
const patched = (file: Uint8Array, at: number, bytes: number[]) => {
  const copy = Uint8Array.from(file);
  copy.set(bytes, at);
  return copy;
};
const placeOf = (file: Uint8Array, text: string) => Buffer.from(file).indexOf(text, 0, "latin1");

describe("The length of audio", () => {
  it.each([
    ...["pcm.wav", "float.wav", "constant.mp3", "variable.mp3", "low.mp3", "plain.flac"],
    ...["opus.ogg", "long_packets.ogg", "vorbis.ogg", "opus.webm", "recorded.webm"],
    ...["aac.m4a", "recorded.mp4"],
  ])("of a second, as %s, is never less than that, and 1.3 s at most", (name) => {
    const seconds = audioSeconds(read(name));
    expect(seconds).toBeGreaterThanOrEqual(1);
    expect(seconds).toBeLessThan(1.3);
  });

  it.each(["constant.mp3", "plain.flac", "opus.ogg", "vorbis.ogg", "opus.webm", "aac.m4a"])(
    "that comes twice in one file, %s, is counted twice",
    (name) => {
      const once = read(name);
      const seconds = audioSeconds(joined(once, once));
      expect(seconds).toBeGreaterThan(audioSeconds(once) * 1.95);
    },
  );

  const lies: [string, Uint8Array, Uint8Array][] = [
    ["a WAV without data", read("pcm.wav"), patched(read("pcm.wav"), 40, [0, 0, 0, 0])],
    [
      "a FLAC of one sample",
      read("plain.flac"),
      patched(read("plain.flac"), 21, [0x70, 0, 0, 0, 1]),
    ],
    [
      "an MP3 whose first frame counts one frame",
      read("variable.mp3"),
      patched(read("variable.mp3"), placeOf(read("variable.mp3"), "Xing") + 8, [0, 0, 0, 1]),
    ],
    [
      "an MP4 of no length",
      read("aac.m4a"),
      patched(read("aac.m4a"), placeOf(read("aac.m4a"), "mvhd") + 20, [0, 0, 0, 0]),
    ],
    [
      "an Ogg whose pages all end at no time",
      read("opus.ogg"),
      patched(
        read("opus.ogg"),
        Buffer.from(read("opus.ogg")).lastIndexOf("OggS") + 6,
        Array(8).fill(0),
      ),
    ],
  ];
  it.each(lies)("does not hang on what the file says of it: %s", (_, file, lie) => {
    expect(Buffer.compare(file, lie)).not.toBe(0);
    expect(audioSeconds(lie)).toBe(audioSeconds(file));
  });

  it("of an MP3 is that of a decoder that begins after a frame that is no frame", () => {
    const file = read("constant.mp3");
    // A header whose frame would reach over the next two.
    const seconds = audioSeconds(joined(Uint8Array.of(0xff, 0xfb, 0xe4, 0xc0), file));
    expect(seconds).toBeGreaterThanOrEqual(audioSeconds(file));
  });
});

describe("Audio is refused", () => {
  const cases: [string, Uint8Array][] = [
    ["of no bytes", new Uint8Array()],
    ["that is a text", new TextEncoder().encode("This is a text, however long it may be.")],
    ["in a WAV of a kind that packs it", read("adpcm.wav")],
    ["in an MP4 that is no AAC", read("alac.m4a")],
    ["in a WebM that is not Opus", read("vorbis.webm")],
    ["as AAC alone", read("adts.aac")],
    ["in an MP4 that is cut off", read("aac.m4a").subarray(0, -10)],
    ["in a WebM that is cut off", read("opus.webm").subarray(0, -10)],
    [
      "after an ID3 tag that hides what it is",
      joined(new TextEncoder().encode("ID3\u0004\0\0\0\0\0\u0004abcd"), read("pcm.wav")),
    ],
    ["in an Ogg that begins with none of its streams", read("opus.ogg").subarray(100)],
  ];
  it.each(cases)("%s", (_, file) => {
    expect(() => audioSeconds(file)).toThrow(UnboundedAudio);
  });

  it("or bounded, whatever is wrong with any of its bytes", () => {
    for (const name of [
      "pcm.wav",
      "constant.mp3",
      "plain.flac",
      "opus.ogg",
      "opus.webm",
      "aac.m4a",
    ]) {
      const file = read(name);
      for (let at = 0; at < file.length; at += 7) {
        const broken = patched(file, at, [(file[at] ?? 0) ^ (1 << (at & 7))]).subarray(
          0,
          file.length - (at % 5),
        );
        try {
          expect(audioSeconds(broken)).toBeGreaterThan(0);
        } catch (error) {
          expect(error, `${name} at ${at}`).toBeInstanceOf(UnboundedAudio);
        }
      }
    }
  });
});
