import { describe, expect, it } from "vitest";
import { problemsOf } from "../../scripts/database/release.ts";

const released = [
  { version: "0.1.0", file: "20260101000000_baseline.sql", sha256: "a" },
  { version: "0.1.0", file: "20260201000000_more.sql", sha256: "b" },
];
const files = (...extra: [string, string][]) =>
  new Map([...released.map(({ file, sha256 }) => [file, sha256] as const), ...extra]);

describe("released migrations", () => {
  it("may be followed by new ones", () => {
    expect(problemsOf(released, files(["20260301000000_new.sql", "c"]))).toEqual([]);
  });

  it("must not be edited", () => {
    expect(problemsOf(released, files(["20260101000000_baseline.sql", "x"]))).toEqual([
      expect.stringMatching(
        /20260101000000_baseline\.sql is part of release 0\.1\.0 and was edited/,
      ),
    ]);
  });

  it("must not be deleted", () => {
    const left = files();
    left.delete("20260201000000_more.sql");
    expect(problemsOf(released, left)).toEqual([
      expect.stringMatching(/20260201000000_more\.sql is part of release 0\.1\.0 and is gone/),
    ]);
  });

  it("are not preceded by new ones: the CLI would refuse to push those", () => {
    expect(problemsOf(released, files(["20260115000000_late.sql", "c"]))).toEqual([
      expect.stringMatching(
        /20260115000000_late\.sql would run before the released 20260201000000_more\.sql/,
      ),
    ]);
  });
});
