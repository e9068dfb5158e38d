// A test that ran out of time proves nothing of a mutant; one whose assertion failed does.
import { expect, it } from "vitest";
import { isLate, redInVitest } from "./red.ts";

const FAILED = " FAIL  tests/race/a.test.ts > A > counts\nAssertionError: expected 1 to be 2\n";
const LATE = [
  " FAIL  tests/race/a.test.ts > A > ends\nError: Test timed out in 90000ms.\n",
  " FAIL  tests/race/a.test.ts > A\nError: Hook timed out in 120000ms.\n",
  " FAIL  tests/race/a.test.ts > A > waits\nError: 30 s passed without: B waits for a lock\n",
];

it("A failed assertion is told, also beside tests that ran out of time", () => {
  expect(redInVitest(FAILED)).toEqual({
    names: ["tests/race/a.test.ts > A > counts"],
    late: false,
  });
  expect(redInVitest(LATE.join("\n") + FAILED)).toMatchObject({ late: false });
});

it("Tests that failed alike are named, each", () => {
  const report = ` FAIL  tests/race/a.test.ts > A > one\n${FAILED}`;
  expect(redInVitest(report)?.names).toEqual([
    "tests/race/a.test.ts > A > one",
    "tests/race/a.test.ts > A > counts",
  ]);
});

it.each(LATE)("Running out of time is told: %s", (report) => {
  expect(redInVitest(report)).toMatchObject({ late: true });
});

it("A statement that Postgres stopped ran out of time", () => {
  expect(isLate("a.test.sql: canceling statement due to statement timeout")).toBe(true);
  expect(isLate("a.test.sql: Ten calls are admitted")).toBe(false);
});

it("A report without a failed test names none", () => {
  expect(redInVitest(" ✓ tests/race/a.test.ts (3 tests)\n")).toBeNull();
});
