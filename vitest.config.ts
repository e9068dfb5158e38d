import { defineConfig } from "vitest/config";
import { LongestFirst } from "./tests/support/longest_first.ts";

const UNIT = "tests/unit/**/*.test.ts";
/** They mock a module, or leave a timer: no file after them may see that. */
const APART = ["tests/unit/alerts/post.test.ts", "tests/unit/metric_interval.test.ts"];

/** Factor of the limits, for a machine that is slow or busy. */
const PATIENCE = Number(process.env.SPENDGATE_TEST_PATIENCE ?? 1);

export default defineConfig({
  test: {
    projects: [
      // They change nothing that another one sees, and load the same modules: a process runs many of them.
      { extends: true, test: { name: "unit", include: [UNIT], exclude: APART, isolate: false } },
      {
        extends: true,
        test: {
          name: "stack",
          include: ["tests/*.test.ts", "tests/!(unit)/**/*.test.ts", ...APART],
          globalSetup: ["tests/support/global.ts"],
        },
      },
    ],
    sequence: { sequencer: LongestFirst },
    // Files run beside each other, each on a database of its own; the servers need a core too.
    maxWorkers: 2,
    // Test users' passwords: at lite's usual cost they took a good tenth of the processor time of a test with a stack.
    env: { LITE_AUTH_BCRYPT_COST: "4" },
    testTimeout: 90_000 * PATIENCE,
    hookTimeout: 120_000 * PATIENCE,
    teardownTimeout: 30_000,
  },
});
