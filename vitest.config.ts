import { defineConfig } from "vitest/config";

/** Factor of the limits, for a machine that is slow or busy. */
const PATIENCE = Number(process.env.SPENDGATE_TEST_PATIENCE ?? 1);

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    globalSetup: ["tests/support/global.ts"],
    // Files run beside each other, each on a database of its own; the servers need a core too.
    maxWorkers: 2,
    testTimeout: 90_000 * PATIENCE,
    hookTimeout: 120_000 * PATIENCE,
    teardownTimeout: 30_000,
  },
});
