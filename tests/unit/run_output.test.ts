// What is kept of an interpreter's answer: the limits, whatever the answer is cut into.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BrokenLine } from "../../functions/_shared/sandbox/run_lines.ts";
import { type OutputLimits, RunOutput } from "../../functions/_shared/sandbox/run_output.ts";

const encoder = new TextEncoder();
const line = (event: object) => `${JSON.stringify(event)}\n`;
/** As Python's json.dumps writes it. */
const ascii = (event: object) =>
  line(event).replace(
    /[\u0080-\uffff]/g,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** Reads an answer in chunks of `size` bytes, up to where no more is wanted. */
function read(answer: string, limits: OutputLimits, size = 1000): RunOutput {
  const output = new RunOutput(limits);
  const bytes = encoder.encode(answer);
  for (let at = 0; at < bytes.length; at += size) {
    if (!output.push(bytes.subarray(at, at + size))) return output;
  }
  output.finish();
  return output;
}

const result = (answer: string, limits: OutputLimits, size?: number) =>
  read(answer, limits, size).ended(0);
const bytesOf = (value: unknown) => encoder.encode(JSON.stringify(value)).length;

describe("All that was printed", () => {
  const events = [
    { type: "number_of_executions", execution_count: 1 },
    { type: "stdout", text: 'é😀 "quoted" \\ back\n', timestamp: "2026-01-01" },
    { type: "keepalive" },
    { type: "stderr", text: "oh\n" },
    { type: "result", text: "1", png: "aGk=", json: { a: [1, { b: "}" }] }, is_main_result: true },
    { type: "error", name: "ValueError", value: "wrong", traceback: "line 1\nline 2" },
    { type: "end_of_execution" },
  ];

  it.each([1, 2, 3, 7, 1000])(
    "is the same in chunks of %i bytes, with escapes and without",
    (size) => {
      for (const write of [line, ascii]) {
        const output = read(events.map(write).join(""), { maxBytes: 10_000 }, size);
        expect(output.hasBegun && output.hasEnded).toBe(true);
        expect(output.ended(0)).toEqual({
          stdout: 'é😀 "quoted" \\ back\n',
          stderr: "oh\n",
          results: [{ text: "1", png: "aGk=", json: { a: [1, { b: "}" }] } }],
          error: { name: "ValueError", message: "wrong", traceback: "line 1\nline 2" },
          isTruncated: false,
          seconds: 0,
          state: undefined,
        });
      }
    },
  );

  it("has a last line without its end", () => {
    expect(result('{"type":"stdout","text":"a"}', { maxBytes: 10 }).stdout).toBe("a");
  });

  it("of ten lines of 1000 bytes fits into 10,000, and with the eleventh, which is left out, the run ends", () => {
    const text = `${"x".repeat(999)}\n`;
    const ten = line({ type: "stdout", text }).repeat(10);
    expect(result(ten, { maxBytes: 10_000 })).toMatchObject({ isTruncated: false });
    const output = read(ten + line({ type: "stdout", text: "y" }), { maxBytes: 10_000 });
    expect(output.isOverLimit).toBe(true);
    expect(output.ended(0)).toMatchObject({
      stdout: text.repeat(10),
      isTruncated: true,
      notice: "The output is limited to 10000 bytes. Left out: stdout; the run was ended there.",
    });
  });
});

describe("A limit of 1000 bytes", () => {
  const limits = { maxBytes: 1000 };
  const huge = "x".repeat(2_000_000);

  it.each([
    ["stdout", { type: "stdout", text: huge }],
    ["stderr", { type: "stderr", text: huge }],
    ["a result's text", { type: "result", text: huge }],
    ["a chart", { type: "result", text: "<Figure>", png: huge }],
    ["a chart before its text", { type: "result", png: huge, text: "<Figure>" }],
    ["nested JSON", { type: "result", json: { a: [huge, { b: huge }] } }],
    [
      "many small members",
      {
        type: "result",
        extra: Object.fromEntries(
          huge
            .slice(0, 9999)
            .split("")
            .map((_, i) => [`k${i}`, i]),
        ),
      },
    ],
    ["an error's name", { type: "error", name: huge, value: "v", traceback: "t" }],
    ["an error's message", { type: "error", name: "E", value: huge, traceback: "t" }],
    ["a traceback", { type: "error", name: "E", value: "v", traceback: huge }],
    [
      "a traceback that says its type last",
      { name: "E", value: "v", traceback: huge, type: "error" },
    ],
    ["what is not known", { type: "later", text: huge }],
    ["control characters", { type: "stdout", text: "\u0001".repeat(100_000) }],
    ["line ends", { type: "stdout", text: "\n".repeat(100_000) }],
    ["four bytes a character", { type: "stdout", text: "😀".repeat(100_000) }],
    ["halves of characters", { type: "stdout", text: "\ud83d".repeat(100_000) }],
  ])("leaves of %s at most 2 KB more in the answer, and the rest is not read", (_, event) => {
    for (const write of [line, ascii]) {
      const answer = write(event) + write({ type: "end_of_execution" });
      const output = read(answer, limits);
      expect(output.isOverLimit).toBe(true);
      expect(output.ended(0)).toMatchObject({ isTruncated: true, notice: expect.any(String) });
      expect(bytesOf(output.result)).toBeLessThan(1000 + 2000);
    }
  });

  it.each([
    ["empty pieces", { type: "stdout", text: "" }],
    ["empty results", { type: "result", text: "" }],
    ["small results", { type: "result", text: "1" }],
    ["signs of life", { type: "keepalive" }],
    ["what is not known", { type: "later", text: "x" }],
    ["errors", { type: "error", name: "E", value: "v", traceback: "t" }],
  ])("ends %s without an end", (_, event) => {
    const output = read(line(event).repeat(10_000), limits);
    expect(output.isOverLimit).toBe(true);
    expect(bytesOf(output.ended(0))).toBeLessThan(3000);
  });

  it("shows what fits: the first 1000 bytes, up to a whole character", () => {
    for (const write of [line, ascii]) {
      const text = `a${"é".repeat(3000)}`;
      const { stdout } = result(write({ type: "stdout", text }), limits);
      expect(stdout).toBe(`a${"é".repeat(499)}`);
    }
  });

  it("shows the formats of a result that fit whole, and names the others", () => {
    const event = { type: "result", text: "<Figure>", html: "<b>1</b>", png: huge };
    expect(result(line(event), limits)).toMatchObject({
      results: [{ text: "<Figure>", html: "<b>1</b>" }],
      notice: expect.stringContaining("png of a result"),
    });
  });

  it("has an error named however much was printed before it", () => {
    const answer =
      line({ type: "stdout", text: "x".repeat(1000) }) +
      line({ type: "error", name: "ValueError", value: "wrong", traceback: "t" });
    expect(result(answer, limits)).toMatchObject({
      error: { name: "ValueError", message: "wrong", traceback: null },
      isTruncated: true,
    });
  });

  it("charges events with what they add, where they are passed on", () => {
    const passed: string[] = [];
    const output = new RunOutput({ ...limits, pieceBytes: 40 }, (event) =>
      passed.push(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`),
    );
    output.push(encoder.encode(line({ type: "stdout", text: "x" }).repeat(10_000)));
    expect(passed.join("").length).toBeLessThan(3000);
    expect(output.result.isTruncated).toBe(true);
  });
});

describe("A model", () => {
  const limits = { maxBytes: 100_000, shownBytes: 1000, textOnly: true };

  it("is charged nothing for charts, and shown what follows them", () => {
    const chart = { type: "result", png: "x".repeat(500_000), text: "<Figure>" };
    const output = read(line(chart).repeat(3) + line({ type: "stdout", text: "after" }), limits);
    expect(output.ended(0)).toMatchObject({
      stdout: "after",
      results: [{ text: "<Figure>" }, { text: "<Figure>" }, { text: "<Figure>" }],
      isTruncated: false,
    });
  });

  it("is not shown the text above its limit, and the code runs on, up to what it may print", () => {
    const text = line({ type: "stdout", text: "x".repeat(30_000) });
    const after = line({ type: "error", name: "E", value: "after", traceback: "" });
    const ran = read(text + text + after, limits);
    expect(ran.isOverLimit).toBe(false);
    expect(ran.ended(0)).toMatchObject({
      stdout: "x".repeat(1000),
      error: { message: "after" },
      notice: expect.stringContaining("Left out: stdout; the code ran on."),
    });
    expect(read(text.repeat(4), limits).isOverLimit).toBe(true);
  });

  it("has charts without an end ended", () => {
    const chart = line({ type: "result", png: "x".repeat(1_000_000), text: "<Figure>" });
    expect(read(chart.repeat(30), limits, 100_000).isOverLimit).toBe(true);
  });
});

describe("An answer that is broken", () => {
  it.each([
    ["no JSON", "my-password\n"],
    ["half a line", '{"type":"stdout","te\n'],
    ["a list", "[1,2]\n"],
    ["a text", '"a"\n'],
    ["a key without an end", `{"${"k".repeat(100_000)}":1}\n`],
    ["brackets without an end", "[".repeat(100_000)],
  ])("by %s is said to be so, without a word of it", (_, answer) => {
    const reading = () => read(answer, { maxBytes: 1000 });
    expect(reading).toThrow(BrokenLine);
    expect(reading).not.toThrow(/pass|stdout|k{5}|\[\[/);
  });
});

it("Random events, limits and chunks never give more than the limit and 2 KB, and give all of it where it fits", () => {
  const text = fc.string({ unit: "binary", maxLength: 300 });
  const event = fc.oneof(
    fc.record({ type: fc.constantFrom("stdout", "stderr"), text }),
    fc.record({
      type: fc.constant("result"),
      text,
      html: text,
      json: fc.dictionary(text, text, { maxKeys: 3 }),
    }),
    fc.record({
      type: fc.constant("error"),
      name: fc.constant("ValueError"),
      value: text,
      traceback: text,
    }),
    fc.constant({ type: "keepalive" }),
  );
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 20 }),
      fc.integer({ min: 1, max: 3000 }),
      fc.integer({ min: 1, max: 500 }),
      fc.boolean(),
      (events, maxBytes, size, textOnly) => {
        const answer = events.map((each) => ascii(each)).join("");
        const limited = result(answer, { maxBytes, textOnly }, size);
        expect(bytesOf(limited)).toBeLessThanOrEqual(maxBytes + 2000);
        const whole = result(answer, { maxBytes: 1_000_000 }, size);
        expect(whole.isTruncated).toBe(false);
        expect(whole.stdout.startsWith(limited.stdout.slice(0, -1))).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});
