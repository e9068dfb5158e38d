// dist/assets: what the command brings into a project.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CONTRACT_VERSION } from "../../functions/_shared/database/contract.ts";
import { releasedMigrations } from "../../scripts/database/release.ts";
import { migrationFiles } from "../../scripts/database/scratch.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { functionsSource } from "./functions_source.ts";
import type { Manifest, Migration } from "./src/cli/assets.ts";
import { sha256 } from "./src/cli/text.ts";

export const PACKAGE = dirname(new URL(import.meta.url).pathname);

export async function writeAssets(folder: string): Promise<void> {
  const { version } = JSON.parse(await readFile(join(PACKAGE, "package.json"), "utf8"));
  const { files, entries } = await functionsSource();
  const migrations = await packageMigrations(version);
  const manifest: Manifest = {
    version,
    contractVersion: CONTRACT_VERSION,
    migrations: migrations.map(({ text: _, ...migration }) => migration),
    functions: entries,
  };
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  };
  await write("manifest.json", `${JSON.stringify(manifest, null, 2)}\n`);
  for (const { file, text } of migrations) await write(`migrations/${file}`, text);
  for (const [path, text] of files) await write(`functions/${path}`, text);
  await write("prices.sql", await readFile(join(PROJECT, "supabase/seeds/prices.sql"), "utf8"));
  await write("CHANGELOG.md", await readFile(join(PROJECT, "CHANGELOG.md"), "utf8"));
  await write("releases.json", JSON.stringify(await releases()));
}

/** All migrations; one that no release has yet comes with this version. */
async function packageMigrations(version: string): Promise<(Migration & { text: string })[]> {
  const released = new Map((await releasedMigrations()).map((each) => [each.file, each.version]));
  return Promise.all(
    (await migrationFiles()).map(async (path) => {
      const file = basename(path);
      const text = await readFile(path, "utf8");
      return { file, release: released.get(file) ?? version, sha256: sha256(text), text };
    }),
  );
}

/** What each release brought: see release.ts. */
async function releases(): Promise<Record<string, unknown>> {
  const folder = join(PACKAGE, "releases");
  const files = (await readdir(folder)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  return Object.fromEntries(
    texts.map((text, i) => [basename(files[i] as string, ".json"), JSON.parse(text)]),
  );
}
