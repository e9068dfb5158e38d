// What was red in a run of tests, and whether an assertion failed or time ran out.

export interface Red {
  /** The tests that were red. */
  names: string[];
  /** No assertion failed; time ran out, as it may on a busy machine. */
  late: boolean;
}

/** How tests say that they ran out of time: vitest, Postgres, `until` in tests/support. */
const LATE = /(Test|Hook) timed out in|due to statement timeout|s passed without:/;

export const isLate = (error: string) => LATE.test(error);

/** The tests that vitest's report names as failed, each or several followed by their error; null: it names none. */
export function redInVitest(report: string): Red | null {
  const names = [...report.matchAll(/^ FAIL {2}(.*)/gm)].map(([, name = ""]) => name);
  const errors = [...report.matchAll(/^ FAIL {2}.*\n(?! FAIL)(.*)/gm)].map(
    ([, error = ""]) => error,
  );
  return names.length === 0 ? null : { names, late: errors.every(isLate) };
}
