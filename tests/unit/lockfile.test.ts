// What npm ci installs is what was locked.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";

interface Entry {
  version?: string;
  resolved?: string;
  integrity?: string;
  optional?: boolean;
}

const lockfile = JSON.parse(readFileSync(join(PROJECT, "package-lock.json"), "utf8"));
const packages = Object.entries<Entry>(lockfile.packages).filter(([path]) => path !== "");

it("names no host but registry.npmjs.org", () => {
  const hosts = packages.flatMap(([, { resolved }]) => (resolved ? [new URL(resolved).host] : []));
  expect(hosts.filter((host) => host !== "registry.npmjs.org")).toEqual([]);
});

it("has a hash of every package that is installed on Linux", () => {
  const bare = packages.filter(([, { integrity }]) => !integrity);
  // Programs for other systems, of which npm writes no hash where it cannot see them.
  const isForOthers = ([path, { optional }]: [string, Entry]) =>
    optional === true && /(darwin|win32|windows|linux-arm64|-musl)/.test(path);
  expect(bare.filter((each) => !isForOthers(each)).map(([path]) => path)).toEqual([]);
  expect(bare.length).toBeLessThanOrEqual(11);
});
