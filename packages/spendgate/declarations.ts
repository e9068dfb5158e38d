// dist/*.d.ts: what tsc says of the entries, and of the files that they name types of.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, normalize, relative } from "node:path";
import { promisify } from "node:util";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { PACKAGE } from "./assets.ts";

/** @param entries files of the package that become `<name>.d.ts`; what they need gets the name of its path. */
export async function writeTypes(folder: string, entries: string[]): Promise<void> {
  const emitted = await mkdtemp(join(tmpdir(), "spendgate-types-"));
  try {
    await emit(emitted);
    const own = relative(PROJECT, PACKAGE);
    const names = new Map(
      entries.map((entry) => [join(own, entry), basename(entry).replace(/\.ts$/, "")]),
    );
    // Grows while it is walked.
    for (const [path, name] of names) {
      const text = await readFile(join(emitted, path.replace(/\.ts$/, ".d.ts")), "utf8");
      const rewritten = text.replaceAll(/(from |import\()"(\.[^"]+)"/g, (_, before, specifier) => {
        const target = normalize(join(dirname(path), specifier));
        if (!names.has(target)) names.set(target, nameOf(target, own));
        return `${before}"./${names.get(target)}.js"`;
      });
      await writeFile(join(folder, `${name}.d.ts`), rewritten);
    }
  } finally {
    await rm(emitted, { recursive: true, force: true });
  }
}

function nameOf(path: string, own: string): string {
  return path
    .replace(`${own}/src/`, "")
    .replace(/\.ts$/, "")
    .replaceAll(/[^\w]+/g, "_");
}

async function emit(folder: string): Promise<void> {
  const tsc = join(PROJECT, "node_modules/typescript/bin/tsc");
  const options = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly"];
  const args = [tsc, "-p", PACKAGE, ...options, "--outDir", folder];
  await promisify(execFile)(process.execPath, args, { cwd: PROJECT });
}
