// npm ci installs what was locked.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";

interface Entry {
  version?: string;
  resolved?: string;
  integrity?: string;
  optional?: boolean;
  /** Comes within the package that has it, and with that one's hash. */
  inBundle?: boolean;
  /** A workspace of this repository. */
  link?: boolean;
}

const lockfile = JSON.parse(readFileSync(join(PROJECT, "package-lock.json"), "utf8"));
const packages = Object.entries<Entry>(lockfile.packages).filter(
  ([path, { inBundle, link }]) => path.includes("node_modules/") && !inBundle && !link,
);

it("The lockfile names no host but registry.npmjs.org", () => {
  const hosts = packages.flatMap(([, { resolved }]) => (resolved ? [new URL(resolved).host] : []));
  expect(hosts.filter((host) => host !== "registry.npmjs.org")).toEqual([]);
});

it("The lockfile has a hash of every package but seven that the Supabase CLI brings for other systems", () => {
  const bare = packages.filter(([, { integrity }]) => !integrity);
  // The registry that wrote the lockfile does not have them, so npm wrote no hash: see npm view @supabase/cli-darwin-arm64.
  const isForOthers = ([path, { optional }]: [string, Entry]) =>
    optional === true && /@supabase\/cli-(darwin|windows|linux-arm64|linux-x64-musl)/.test(path);
  expect(bare.filter((each) => !isForOthers(each)).map(([path]) => path)).toEqual([]);
  expect(bare.length).toBeLessThanOrEqual(7);
});
