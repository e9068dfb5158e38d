// `npm run test:mutants` can run: what it changes and what it demands to fail are there.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { demandTexts } from "./change.ts";
import { functionMutants } from "./functions.ts";
import { guardMutants } from "./guards.ts";
import { lockMutants } from "./locks.ts";

describe("Mutants", async () => {
  const mutants = [...guardMutants, ...functionMutants, ...(await lockMutants())];

  it("change a text that is there once", async () => {
    expect(mutants.length).toBeGreaterThan(100);
    await demandTexts(mutants);
  });

  it("have names of their own, by which a run is resumed", () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  });

  it("name with -t tests that exist", () => {
    const named = [...new Set(mutants.flatMap(({ tests }) => tests))].flatMap((test) => {
      const [file, name] = test.split(" -t ");
      return name ? [{ test, path: `tests/${file}.test.ts`, name: new RegExp(name) }] : [];
    });
    const tests = listTests([...new Set(named.map(({ path }) => path))]);
    const missing = named.filter(
      ({ path, name }) => !tests.some((each) => each.path === path && name.test(each.name)),
    );
    expect(missing.map(({ test }) => test)).toEqual([]);
  }, 120_000);
});

/** The tests of files, with the full names that `-t` is compared with. */
function listTests(paths: string[]): { path: string; name: string }[] {
  const vitest = join(PROJECT, "node_modules/vitest/vitest.mjs");
  const list = execFileSync(process.execPath, [vitest, "list", ...paths, "--json"], {
    cwd: PROJECT,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  return JSON.parse(list).map(({ file, name }: { file: string; name: string }) => ({
    path: file.slice(PROJECT.length + 1),
    name: name.replaceAll(" > ", " "),
  }));
}
