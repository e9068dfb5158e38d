// The package as people get it: packed, and installed in a folder that has nothing else.
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Manifest } from "../../packages/spendgate/src/cli/assets.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";

const run = promisify(execFile);

export interface Ran {
  code: number;
  out: string;
  err: string;
}

export interface InstalledPackage {
  /** The folder in which it is installed: node_modules and package.json. */
  folder: string;
  /** The package itself. */
  root: string;
  tarball: string;
  /** What the package brings, as it says itself. */
  manifest: Manifest;
  /** Runs the command in `cwd`, without a terminal. */
  spendgate(cwd: string, ...args: string[]): Promise<Ran>;
  remove(): Promise<void>;
}

/** Milliseconds that building and installing may take on a busy machine. */
export const PACKAGE_MS = 180_000;

interface PackageOptions {
  /** With the entries for programs, too. */
  entries?: boolean;
  /** A package to begin with, instead of building one. */
  from?: InstalledPackage;
  /** What to do to it before it is packed: a later release, say. */
  change?(folder: string): Promise<void>;
}

export async function installPackage({
  entries = false,
  from,
  change,
}: PackageOptions = {}): Promise<InstalledPackage> {
  const base = await mkdtemp(join(tmpdir(), "spendgate-package-"));
  const [made, folder] = [join(base, "made"), join(base, "installed")];
  const tsx = join(PROJECT, "node_modules/tsx/dist/cli.mjs");
  const args = [...(entries ? [] : ["--command-only"]), "--out", made];
  if (from) await cp(from.root, made, { recursive: true });
  else await run(process.execPath, [tsx, "packages/spendgate/build.ts", ...args], { cwd: PROJECT });
  await change?.(made);
  const packed = await run("npm", ["pack", "--json", "--ignore-scripts"], { cwd: made });
  const names = JSON.parse(packed.stdout);
  const tarball = join(made, (Object.values(names)[0] as { filename: string }).filename);
  await run("mkdir", [folder]);
  await writeFile(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", tarball], { cwd: folder });
  return {
    folder,
    root: join(folder, "node_modules/spendgate"),
    tarball,
    manifest: JSON.parse(
      await readFile(join(folder, "node_modules/spendgate/dist/cli/assets/manifest.json"), "utf8"),
    ),
    spendgate: (cwd, ...args) => runNode(cwd, join(folder, "node_modules/.bin/spendgate"), args),
    remove: () => rm(base, { recursive: true, force: true }),
  };
}

/** Runs a program of Node; a code other than 0 is an answer. */
export async function runNode(
  cwd: string,
  file: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<Ran> {
  const { FORCE_COLOR: _, ...inherited } = process.env;
  const options = { cwd, env: { ...inherited, NO_COLOR: "1", ...env }, maxBuffer: 1 << 26 };
  const running = run(process.execPath, [file, ...args], options);
  running.child.stdin?.end();
  return running.then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    (error) => ({ code: error.code as number, out: error.stdout, err: error.stderr }),
  );
}
