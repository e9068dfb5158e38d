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
const ascii = (text: string) => [...Buffer.from(text, "latin1")];
/** A page of Ogg of one packet, that a stream begins with. */
const beginning = (serial: Uint8Array, packet: number[]) =>
  Uint8Array.of(
    ...[...ascii("OggS"), 0, 2, ...Array(8).fill(0), ...serial, ...Array(8).fill(0)],
    ...[1, packet.length, ...packet],
  );
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

  it("of an Ogg is that of the longest of all that a stream says it is", () => {
    const file = read("opus.ogg");
    const tags = Buffer.from(file).indexOf("OggS", 4);
    // Vorbis of the highest rate and the shortest packets: its packets have no length.
    const vorbis = [
      ...ascii("\u0001vorbis"),
      0,
      0,
      0,
      0,
      1,
      255,
      255,
      255,
      255,
      ...Array(14).fill(0),
    ];
    const page = beginning(file.subarray(14, 18), vorbis);
    const seconds = audioSeconds(joined(file.subarray(0, tags), page, file.subarray(tags)));
    expect(seconds).toBeGreaterThanOrEqual(audioSeconds(file));
  });

  it.each([6, 7])(
    "of a WAV of format %d is that of a byte a sample, whatever it states",
    (format) => {
      const file = patched(read("pcm.wav"), 20, [format, 0]);
      expect(audioSeconds(file)).toBe(audioSeconds(read("pcm.wav")));
      expect(audioSeconds(patched(file, 34, [64, 0]))).toBe(audioSeconds(file));
    },
  );

  it("of a long WAV is that of the bits that are valid in a sample", () => {
    const format = [...ascii("fmt "), 40, 0, 0, 0, 0xfe, 0xff, 1, 0, 0x40, 0x1f, 0, 0];
    const sizes = [0, 0, 0, 0, 8, 0, 64, 0, 22, 0];
    const wav = (valid: number) =>
      Uint8Array.of(
        ...[...ascii("RIFF"), 0, 0, 0, 0, ...ascii("WAVE"), ...format, ...sizes],
        ...[valid, 0, 4, 0, 0, 0, 1, ...Array(64_000).fill(0)],
      );
    expect(audioSeconds(wav(64))).toBeCloseTo(1, 1);
    expect(audioSeconds(wav(0))).toBeCloseTo(1, 1);
    expect(audioSeconds(wav(8))).toBeCloseTo(8, 1);
  });

  it("of an MP4 is by the rate that stands after a length of four bytes, though the fourth says that it goes on", () => {
    const file = read("aac.m4a");
    const setUp = patched(file, placeOf(file, "esds") + 38, [0x85, 0x15, 0x12, 0x08]);
    expect(audioSeconds(setUp)).toBeCloseTo(audioSeconds(file) * 4, 1);
  });

  it("of a FLAC is that of what stands after a tag and its footer", () => {
    const tag = [...ascii("ID3"), 4, 0, 0x10, 0, 0, 0, 0, ...ascii("3DI"), 4, 0, 0x10, 0, 0, 0, 0];
    const file = read("plain.flac");
    expect(audioSeconds(joined(Uint8Array.from(tag), file))).toBe(audioSeconds(file));
  });

  it("of an MP4 whose edit list has 100 entries is that of 100 plays", () => {
    const file = read("aac.m4a");
    const edited = patched(file, placeOf(file, "elst") + 8, [0, 0, 0, 100]);
    expect(audioSeconds(edited)).toBeGreaterThan(audioSeconds(file) * 99);
  });

  const u32 = (value: number) => [24, 16, 8, 0].map((bits) => (value >>> bits) & 255);
  /** `aac.m4a` with numbers put after the names of its boxes, and what it says of its length by its frames alone. */
  const rewritten = (...changes: [box: string, on: number, ...numbers: number[]][]) => {
    let file = patched(...at("aac.m4a", "mvhd", 20), u32(0));
    for (const [box, on, ...numbers] of [["stts", 8, 0] as const, ...changes]) {
      file = patched(file, placeOf(file, box) + on, numbers.flatMap(u32));
    }
    return file;
  };
  /** Of a frame of it. */
  const FRAME = 1024 / 44_100;

  it("of an MP4 is that of as many frames as may be in its samples, where they are larger than a frame may be", () => {
    expect(audioSeconds(rewritten())).toBeCloseTo(45 * FRAME, 1);
    // One sample of all bytes, and 45 of them at one place.
    expect(audioSeconds(rewritten(["stsz", 8, 76_800, 1]))).toBeCloseTo(100 * FRAME, 1);
    expect(audioSeconds(rewritten(["stsz", 8, 76_800, 45]))).toBeCloseTo(4500 * FRAME, 1);
    // A large one among others.
    expect(audioSeconds(rewritten(["stsz", 16, 76_800]))).toBeCloseTo(144 * FRAME, 1);
  });

  it("of an MP4 in fragments is that of its samples, whether each states its size or all have one", () => {
    const file = read("recorded.mp4");
    const seconds = audioSeconds(file);
    const rate = 22_050;
    // The first of the first fragment: its length, then its size.
    const [run] = [placeOf(file, "trun")];
    const large = patched(file, run + 20, u32(768_000));
    expect(audioSeconds(large)).toBeCloseTo(seconds + (999 * 1024) / rate, 0);
    const alike = patched(
      patched(file, run + 4, [0, 0, 1, 1]),
      placeOf(file, "tfhd") + 16,
      u32(7680),
    );
    expect(audioSeconds(alike)).toBeCloseTo(seconds * 10, 0);
    const usual = patched(alike, placeOf(alike, "tfhd") + 4, [0, 2, 0, 0x28]);
    expect(audioSeconds(patched(usual, placeOf(usual, "trex") + 20, u32(7680)))).toBeCloseTo(
      seconds * 10,
      0,
    );
  });

  it.each<[string, ...Parameters<typeof rewritten>]>([
    ["its samples", ["stts", 8, 1, 45, 98_000]],
    ["its header", ["mvhd", 20, 100_000]],
  ])(
    "of an MP4 is what %s say, where that is more than its frames: silence may be played between them",
    (_, ...lie) => {
      expect(audioSeconds(rewritten(...lie))).toBe(100);
    },
  );

  it("of an MP3 is that of a decoder that begins after a frame that is no frame", () => {
    const file = read("constant.mp3");
    // A header whose frame would reach over the next two.
    const seconds = audioSeconds(joined(Uint8Array.of(0xff, 0xfb, 0xe4, 0xc0), file));
    expect(seconds).toBeGreaterThanOrEqual(audioSeconds(file));
  });
});

/** "OggS" every nine bytes: each page states 253 packets that are the next pages. */
function overlapping(): Uint8Array {
  const page = [...ascii("OggS"), ...Array(5).fill(253)];
  const pages = Uint8Array.from({ length: 9000 }, (_, at) => page[at % 9] ?? 0);
  return joined(beginning(pages.subarray(14, 18), ascii("OpusHead")), pages);
}
/** A file, and the place of `text` in it and some bytes on. */
function at(name: string, text: string, on = 0): [Uint8Array, number] {
  const file = read(name);
  return [file, placeOf(file, text) + on];
}
/** With a box by another name. */
const renamed = (name: string, box: string, other: string) =>
  patched(...at(name, box), ascii(other));

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
    [
      "in an Ogg of another stream too, without a beginning",
      patched(read("opus.ogg"), Buffer.from(read("opus.ogg")).lastIndexOf("OggS") + 14, [9, 9]),
    ],
    ["in an Ogg whose pages overlap", overlapping()],
    ["in a WAV of floats of 16 bits", patched(read("float.wav"), 34, [16, 0])],
    ["in a WAV of 4 bits", patched(read("pcm.wav"), 34, [4, 0])],
    ["in a WAV of 65,528 bits", patched(read("pcm.wav"), 34, [0xf8, 0xff])],
    [
      "in an MP4 with a box that is larger than the one around it",
      patched(
        joined(read("aac.m4a"), Uint8Array.of(0, 0, 1, 0, ...ascii("free"), ...Array(248).fill(0))),
        placeOf(read("aac.m4a"), "udta") - 2,
        [1],
      ),
    ],
    ["in an MP4 that hides how often it is played", renamed("aac.m4a", "edts", "udta")],
    [
      "in an MP4 that hides a track",
      joined(read("aac.m4a"), Uint8Array.of(...[0, 0, 0, 16], ...ascii("udta\0\0\0\btrak"))),
    ],
    [
      "in an MP4 whose samples last a unit of time, which FFmpeg takes together",
      patched(...at("aac.m4a", "stts", 8), [0, 0, 0, 1, 0, 0, 0, 45, 0, 0, 0, 1]),
    ],
    [
      "in an MP4 with more samples than sizes",
      patched(...at("aac.m4a", "stsz", 12), [0, 0, 0, 46]),
    ],
    ["in an MP4 without a unit of time", patched(...at("aac.m4a", "mdhd", 16), [0, 0, 0, 0])],
    ["in an MP4 of a second kind", patched(...at("aac.m4a", "stsd", 8), [0, 0, 0, 2])],
    ["in an MP4 with two set-ups", patched(...at("aac.m4a", "stts", -8), ascii("esds"))],
    ["in an MP4 whose set-up has flags", patched(...at("aac.m4a", "esds", 15), [0x80])],
    [
      "in an MP4 with a set-up of what is silent",
      joined(read("aac.m4a"), renamed("aac.m4a", "mp4a", "avc1")),
    ],
    [
      "in a WebM with a cluster in what is passed over",
      patched(...at("opus.webm", "OpusHead", 4), [0x1f, 0x43, 0xb6, 0x75]),
    ],
    [
      "in a WebM with an id of five bytes",
      joined(read("opus.webm"), Uint8Array.of(8, 0, 0, 0, 1, 0x80)),
    ],
    ["in a FLAC that begins with tags", patched(read("plain.flac"), 4, [4])],
    [
      "as AAC after one frame of MP3",
      joined(Uint8Array.of(0xff, 0xfb, 0x14, 0xc0), read("adts.aac")),
    ],
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
