import { defineConfig, type Plugin, type TestProjectInlineConfiguration } from "vitest/config";
import { LongestFirst } from "./tests/support/longest_first.ts";

const UNIT = "tests/unit/**/*.test.ts";
/** They mock a module, or leave a timer: no file after them may see that. */
const APART = ["tests/unit/alerts/post.test.ts", "tests/unit/metric_interval.test.ts"];

/** Factor of the limits, for a machine that is slow or busy. */
const PATIENCE = Number(process.env.SPENDGATE_TEST_PATIENCE ?? 1);

/** Where the packages of tests/node22 are installed; without it they are not tried. */
const NODE22 = process.env.SPENDGATE_NODE22;

/** Takes clients from there. */
const clientsOfNode22: Plugin = {
  name: "clients of Node 22",
  enforce: "pre",
  resolveId(name) {
    if (!/^(openai|@langchain\/openai|@mastra\/core)(\/|$)/.test(name)) return;
    return this.resolve(name, `${NODE22}/package.json`, { skipSelf: true });
  },
};

const node22: TestProjectInlineConfiguration = {
  extends: true,
  plugins: [clientsOfNode22],
  test: {
    name: "node22",
    include: ["tests/node22/*.test.ts"],
    globalSetup: ["tests/support/global.ts"],
  },
};

export default defineConfig({
  test: {
    // Files that change nothing that another one sees run in one process (`isolate: false`), and load modules once.
    projects: [
      {
        extends: true,
        test: {
          name: "stack",
          include: ["tests/*.test.ts", "tests/!(unit|node22)/**/*.test.ts"],
          globalSetup: ["tests/support/global.ts"],
          isolate: false,
        },
      },
      { extends: true, test: { name: "unit", include: [UNIT], exclude: APART, isolate: false } },
      { extends: true, test: { name: "apart", include: APART } },
      ...(NODE22 ? [node22] : []),
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
