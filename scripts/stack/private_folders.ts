// PostgreSQL refuses to run as root, so root's server runs as the user `postgres`, who cannot enter
// a folder that root keeps to itself: /root, or what mktemp makes. What the server needs of such a
// folder has a place outside.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  access,
  chmod,
  constants,
  lstat,
  mkdir,
  mkdtemp,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { StackError } from "./ports.ts";

const run = promisify(execFile);

/** Survives a restart of the machine, unlike /tmp. */
const OUTSIDE = "/var/tmp/spendgate";

/**
 * The folder of the stack's data, made where it is missing. Where root's server keeps its files elsewhere is said.
 * @throws StackError where it cannot be written.
 */
export async function makeDataFolder(
  folder: string,
  report: (line: string) => void,
): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StackError(
      `The data cannot be kept in ${folder} (${code}). Make the folder yours (\`sudo chown -R "$(id -un)" ${folder}\`), ` +
        "or choose another: SPENDGATE_DATA=<folder>.",
    );
  }
  const server = await enterableFolder(folder);
  if (server !== folder) report(`PostgreSQL cannot enter ${folder}: its data is in ${server}`);
}

/** `folder` itself, or for root, when others cannot enter it, one that stands for it outside. */
export async function enterableFolder(folder: string): Promise<string> {
  if (await isEnterable(folder)) return folder;
  const name = createHash("sha256").update(folder).digest("hex").slice(0, 16);
  const ours = join(await outside(), `data-${name}`);
  await mkdir(ours, { recursive: true });
  await chmod(ours, 0o755);
  return ours;
}

/** `folder` itself, or for root, when others cannot enter it, its copy named `name` outside. */
export async function enterableCopy(folder: string, name: string): Promise<string> {
  if (await isEnterable(folder)) return folder;
  const copy = join(await outside(), name);
  if (await stat(copy).catch(() => null)) return copy;
  // Beside, then by a rename: whoever sees the copy sees all of it.
  const unfinished = await mkdtemp(`${copy}.`);
  try {
    await run("cp", ["-RP", `${folder}/.`, unfinished]);
    await run("chmod", ["-R", "a+rX", unfinished]);
    await rename(unfinished, copy).catch((error: NodeJS.ErrnoException) => {
      // Another run has made it in the meantime.
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
    return copy;
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** Whether root's server can enter `folder`: every folder above that exists lets others pass. */
async function isEnterable(folder: string): Promise<boolean> {
  if (process.getuid?.() !== 0) return true;
  for (let path = folder; ; path = dirname(path)) {
    const entry = await stat(path).catch(() => null);
    if (entry !== null && (entry.mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

async function outside(): Promise<string> {
  const made = await mkdir(OUTSIDE).catch((error: NodeJS.ErrnoException) => error);
  if (made instanceof Error && made.code !== "EEXIST") throw made;
  // Anybody may write beside it: programs are only run from a folder that is ours.
  const entry = await lstat(OUTSIDE);
  if (!entry.isDirectory() || entry.uid !== 0 || (entry.mode & 0o022) !== 0) {
    throw new StackError(`${OUTSIDE} must be a folder that belongs to root alone. Remove it.`);
  }
  await chmod(OUTSIDE, 0o755);
  return OUTSIDE;
}
