// What a PDF shows at most: the pages of real files as tools write them, and of files made to hide theirs.
import { readFileSync } from "node:fs";
import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { InflateError, inflate } from "../../functions/_shared/llm/bounds/pdf/inflate.ts";
import { measurePdf } from "../../functions/_shared/llm/bounds/pdf/pages.ts";

const read = (name: string) =>
  new Uint8Array(readFileSync(new URL(`./pdfs/${name}.pdf`, import.meta.url)));
const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const measure = (...objects: string[]) =>
  measurePdf(
    bytes(objects.map((object, index) => `${index + 1} 0 obj\n${object}\nendobj\n`).join("")),
  );
const packed = (head: string, content: string) => {
  const data = deflateSync(Buffer.from(content)).toString("latin1");
  return `<< ${head} /Filter /FlateDecode /Length ${data.length} >>\nstream\n${data}\nendstream`;
};

describe("The pages of a file", () => {
  it.each([
    ["twelve_pages", 12],
    ["twelve_pages_object_streams", 12],
    ["twelve_pages_linearized", 12],
    ["twelve_pages_linearized_object_streams", 12],
    ["thirteen_pages_incremental", 13],
  ])("are counted in %s: %i", (name, pages) => {
    const size = measurePdf(read(name));
    expect(size.pages).toBe(pages);
    // Each page shows a sentence of some seventy letters.
    expect(size.textBytes).toBeGreaterThan(pages * 70);
    expect(size.textBytes).toBeLessThan(pages * 200);
  });

  it.each([
    ["two pages that are written plainly", 2, "<< /Type /Page >>", "<</Type/Page/Parent 3 0 R>>"],
    ["a page whose name is escaped", 1, "<< /Type /P#61ge >>"],
    ["a per cent sign in a string before it", 1, "<< /X (100%) /Type /Page >>"],
    [
      "a tree that says 100",
      100,
      "<< /Type /Pages /Count 100 /Kids [2 0 R] >>",
      "<< /Type /Page >>",
    ],
    [
      "a tree whose list is elsewhere",
      3,
      "<< /Type /Pages /Count 1 /Kids 2 0 R >>",
      "[7 0 R 8 0 R 9 0 R]",
    ],
    [
      "pages in an object stream",
      2,
      packed("/Type /ObjStm /N 2 /First 8", "5 0 6 14<</Type/Page>> <</Type/Page>>"),
    ],
  ] as [string, number, ...string[]][])("%s: %i", (_, pages, ...objects) => {
    expect(measure(...objects).pages).toBe(pages);
  });

  it.each([
    ["is encrypted", () => measurePdf(read("encrypted")), /encrypted/],
    ["has none that can be found", () => measure("<< /Type /Catalog >>"), /no pages/],
    ["is no PDF", () => measurePdf(bytes("hello")), /no pages/],
    [
      "has objects packed in a way that is not known",
      () => measure("<< /Type /ObjStm /N 1 /First 4 /Filter /LZWDecode >>\nstream\nxx\nendstream"),
      /cannot be unpacked/,
    ],
    [
      "shows one page a hundred times",
      () => measure("<< /Type /Pages /Count 1 /Kids [2 0 R 2 0 R] >>", "<< /Type /Page >>"),
      /more than once/,
    ],
    [
      "shares the branches of its tree",
      () =>
        measure(
          "<< /Type /Pages /Kids [3 0 R] >>",
          "<< /Type /Pages /Kids [3 0 R] >>",
          "<< /X 1 >>",
        ),
      /more than once/,
    ],
    ["hides the type of an object", () => measure("<< /Type 2 0 R >>", "/Page"), /hides/],
    [
      "hides it behind a comment",
      () => measure("<< /Type % 9 0 obj\n/Page >>", "<< /Type /Page >>"),
      /hides/,
    ],
  ])("cannot be counted where it %s, and it is refused", (_, act, message) => {
    expect(act).toThrow(message);
  });
});

describe("The text of a file", () => {
  it("is what its pages draw, unpacked: 9,000 letters in 50 bytes", () => {
    const text = packed("", `(${"a".repeat(9000)}) Tj`);
    expect(text.length).toBeLessThan(150);
    expect(measure("<< /Type /Page /Contents 2 0 R >>", text).textBytes).toBe(9005);
  });

  it("counts as often as pages show it: 3 pages, 1,000 letters each", () => {
    const page = "<< /Type /Page /Contents [4 0 R] >>";
    const text = packed("/Subtype /Image", "a".repeat(1000));
    expect(measure(page, page, page, text).textBytes).toBe(3000);
  });

  it("counts a form as often as it is drawn, and has no bound where forms draw forms", () => {
    const page = "<< /Type /Page /Contents 2 0 R >>";
    const draws = packed("", " /F Do".repeat(100));
    expect(measure(page, draws, packed("/Subtype /Form", "a".repeat(500))).textBytes).toBe(
      600 + 500 + 100 * 500,
    );
    expect(measure(page, draws, packed("/Subtype /Form", " /G Do")).textBytes).toBe(
      Number.POSITIVE_INFINITY,
    );
  });

  it("leaves out images and fonts, and has no bound in a packing that is not known", () => {
    const page = "<< /Type /Page /Contents 9 0 R >>";
    expect(measure(page, packed("/Subtype /Image", "a".repeat(500))).textBytes).toBe(0);
    expect(measure(page, packed("/Length1 500", "a".repeat(500))).textBytes).toBe(0);
    const lzw = "<< /Filter /LZWDecode >>\nstream\nxx\nendstream";
    expect(measure(page, lzw).textBytes).toBe(Number.POSITIVE_INFINITY);
  });

  it("is not unpacked past a limit: 60 MB in 60 kB have no bound", () => {
    const data = deflateSync(Buffer.alloc(60_000_000)).toString("latin1");
    const size = measure(
      "<< /Type /Page /Contents 2 0 R >>",
      `<< /Filter /FlateDecode >>\nstream\n${data}\nendstream`,
    );
    expect(size).toEqual({ pages: 1, textBytes: Number.POSITIVE_INFINITY });
  });

  it.each([
    ["digits", "1"],
    ["objects without an end", "1 0 obj stream\n"],
    ["lists without an end", "/Kids ["],
    ["references to one object", "1 0 obj /Count 1/Kids 1 0 R "],
    ["contents of one object", "1 0 obj /Contents 1 0 R "],
    ["escapes", "1 0 obj #41"],
  ])(
    "that is a megabyte of %s is refused, in time that grows with its length and not with the square of it",
    (_, piece) => {
      const file = bytes(piece.repeat(1_000_000 / piece.length));
      expect(() => measurePdf(file)).toThrow();
    },
    20_000,
  );
});

describe("The function inflate", () => {
  const random = (size: number) =>
    Buffer.from(Array.from({ length: size }, (_, at) => (at * at * 2_654_435_761) % 251));
  it.each([
    ["nothing", Buffer.alloc(0), {}],
    ["a text", Buffer.from("quota ".repeat(5000)), {}],
    ["a text with codes that are fixed", Buffer.from("quota ".repeat(50)), { strategy: 4 }],
    ["bytes without a pattern", random(20_000), {}],
    ["bytes that are stored", random(20_000), { level: 0 }],
  ])("gives what zlib has packed: %s", (_, data, options) => {
    expect(data.equals(inflate(deflateSync(data, options), 200_000))).toBe(true);
  });

  it("stops at its limit, and at what is no stream or is cut", () => {
    const data = deflateSync(Buffer.from("quota ".repeat(5000)));
    expect(() => inflate(data, 29_999)).toThrow(InflateError);
    expect(inflate(data, 30_000)).toHaveLength(30_000);
    expect(() => inflate(data.subarray(0, data.length - 20), 30_000)).toThrow(InflateError);
    expect(() => inflate(bytes("hello"), 100)).toThrow(InflateError);
  });
});
