// Large bodies in pieces: what they say is read without their long texts, and they are passed on as they came.
import { describe, expect, it } from "vitest";
import { fromBase64, toBase64 } from "../../functions/_shared/runtime/base64.ts";
import { bodyOf, outlineOf, piecesOf } from "../../functions/_shared/runtime/pieces.ts";

const piecesIn = (text: string, size: number) => {
  const bytes = new TextEncoder().encode(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
    bytes.slice(at * size, (at + 1) * size),
  );
};

describe("An outline", () => {
  const value = {
    data: [
      { b64_json: "x".repeat(5000), revised_prompt: 'A "cat"\\' },
      { b64_json: "y".repeat(257) },
    ],
    "a \\": "z".repeat(256),
    usage: { input_tokens: 14, note: 'ünï\u0000\\"' },
  };
  const outline = {
    ...value,
    data: [{ b64_json: "", revised_prompt: 'A "cat"\\' }, { b64_json: "" }],
  };
  it.each([1, 2, 7, 300, 100_000])(
    "leaves out what is longer than 256 bytes, in pieces of %d",
    (size) => {
      expect(outlineOf(piecesIn(JSON.stringify(value, null, 1), size))).toEqual(outline);
    },
  );

  it.each(['{"a": "b', "", `{"${"x".repeat(400)}\\"}`, `[${"1,".repeat(600_000)}1]`])(
    "is none of what is no JSON, or is long without long texts",
    (text) => {
      expect(() => outlineOf(piecesIn(text, 1000))).toThrow(SyntaxError);
    },
  );
});

it("A body is passed on as it came, and what of it was not read yet after it", async () => {
  const pieces = piecesIn("The quick brown fox", 4);
  const rest = new Response(" jumps.").body?.getReader() as ReadableStreamDefaultReader<
    Uint8Array<ArrayBuffer>
  >;
  expect(await new Response(bodyOf([...pieces], rest)).text()).toBe("The quick brown fox jumps.");
  const kept = await piecesOf(new Response(bodyOf(pieces)));
  expect(Buffer.concat(kept).toString()).toBe("The quick brown fox");
  expect(await piecesOf(new Response(null))).toEqual([]);
});

it.each([0, 1, 2, 3, 24_575, 24_576, 24_577, 100_000])(
  "Base64 of %d bytes is as Node has it",
  (size) => {
    const bytes = Uint8Array.from({ length: size }, (_, at) => at * 7);
    expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString("base64"));
    expect(fromBase64(toBase64(bytes))).toEqual(bytes);
  },
);
