// The package as people get it: packed, and installed in a folder that has nothing else.
import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Manifest } from "../../packages/spendgate/src/cli/assets.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { once } from "../support/once.ts";

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
  /** A package to begin with, instead of that of these sources. */
  from?: InstalledPackage;
  /** What to do to that one before it is packed: a later release, say. */
  change?(folder: string): Promise<void>;
}

/** The package of these sources as npm packs it, once in a run. */
async function packPackage(): Promise<string> {
  const made = await once("package", PACKAGE_MS / 1000, async (folder) => {
    const tsx = join(PROJECT, "node_modules/tsx/dist/cli.mjs");
    const args = [tsx, "packages/spendgate/build.ts", "--out", folder];
    await run(process.execPath, args, { cwd: PROJECT });
    await pack(folder);
  });
  const names = await readdir(made);
  return join(made, names.find((name) => name.endsWith(".tgz")) as string);
}

/** Packs a folder, and answers the tarball in it. */
async function pack(folder: string): Promise<string> {
  const packed = await run("npm", ["pack", "--json", "--ignore-scripts"], { cwd: folder });
  const names = JSON.parse(packed.stdout);
  return join(folder, (Object.values(names)[0] as { filename: string }).filename);
}

export async function installPackage({
  from,
  change,
}: PackageOptions = {}): Promise<InstalledPackage> {
  const base = await mkdtemp(join(tmpdir(), "spendgate-package-"));
  const folder = join(base, "installed");
  let tarball: string;
  if (from) {
    const made = join(base, "made");
    await cp(from.root, made, { recursive: true });
    await change?.(made);
    tarball = await pack(made);
  } else tarball = await packPackage();
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
