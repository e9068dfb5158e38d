// npm run db:release: freezes the migrations that no release has yet, for the version of package.json.
// supabase/RELEASED says which migrations a release froze, each with the hash of its text. One line for each migration,
// `version file sha256`, oldest first. Databases have run these files; whoever edits one changes what they never get.
import { createHash } from "node:crypto";
import { appendFile, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { isCommand, main } from "../stack/main.ts";
import { PROJECT } from "../stack/paths.ts";
import { StackError } from "../stack/ports.ts";
import { migrationFiles } from "./scratch.ts";

const HEADER = `# Released migrations: version, file, SHA-256. Written by \`npm run db:release\`; checked by \`npm run check:drift\`.
# Databases have run these files. Never edit one: add a migration (\`npm run db:diff -- <name>\`).
`;

const releaseMarker = join(PROJECT, "supabase/RELEASED");

export interface ReleasedMigration {
  version: string;
  /** Its name in supabase/migrations. */
  file: string;
  sha256: string;
}

/** Released migrations, oldest first; none before the first release. */
export async function releasedMigrations(): Promise<ReleasedMigration[]> {
  const text = await readFile(releaseMarker, "utf8").catch(() => "");
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [version = "", file = "", sha256 = ""] = line.split(" ");
      return { version, file, sha256 };
    });
}

/** Absolute paths of the migrations that a database of `version` has run, oldest first. */
export async function migrationsOf(version: string): Promise<string[]> {
  const released = await releasedMigrations();
  const last = released.findLastIndex((migration) => migration.version === version);
  if (last < 0) throw new StackError(`${version} was never released`);
  return released.slice(0, last + 1).map(({ file }) => join(PROJECT, "supabase/migrations", file));
}

export async function isReleased(): Promise<boolean> {
  return (await releasedMigrations()).length > 0;
}

/** What is wrong with this project's released migrations. */
export async function releaseProblems(): Promise<string[]> {
  const hashes = new Map<string, string>();
  for (const path of await migrationFiles()) hashes.set(basename(path), await sha256Of(path));
  return problemsOf(await releasedMigrations(), hashes);
}

/** Released migrations that were edited, renamed or deleted, and new ones that would run before them; `hashes` by file. */
export function problemsOf(
  released: ReleasedMigration[],
  hashes: ReadonlyMap<string, string>,
): string[] {
  const newest = released.at(-1)?.file ?? "";
  const names = new Set(released.map(({ file }) => file));
  return [
    ...released.flatMap(({ version, file, sha256 }) => {
      const found = hashes.get(file);
      if (found === sha256) return [];
      const what = found === undefined ? "is gone" : "was edited";
      return [
        `supabase/migrations/${file} is part of release ${version} and ${what}: restore it, and put the change into a new migration.`,
      ];
    }),
    ...[...hashes.keys()]
      .filter((file) => file < newest && !names.has(file))
      .map(
        (file) =>
          `supabase/migrations/${file} would run before the released ${newest}: give it a later time stamp.`,
      ),
  ];
}

/** The lines of migrations that no release has yet. */
export async function linesOfRelease(version: string): Promise<string[]> {
  const names = new Set((await releasedMigrations()).map(({ file }) => file));
  const lines: string[] = [];
  for (const path of await migrationFiles()) {
    const file = basename(path);
    if (!names.has(file)) lines.push(`${version} ${file} ${await sha256Of(path)}`);
  }
  return lines;
}

async function sha256Of(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

if (isCommand(import.meta)) {
  await main(async () => {
    const problems = await releaseProblems();
    if (problems.length > 0) throw new StackError(problems.join("\n"));
    const { version } = JSON.parse(await readFile(join(PROJECT, "package.json"), "utf8"));
    const lines = await linesOfRelease(version);
    if (lines.length === 0) return console.log("nothing to do: every migration is released");
    const header = (await isReleased()) ? "" : HEADER;
    await appendFile(releaseMarker, `${header}${lines.map((line) => `${line}\n`).join("")}`);
    console.log(`froze for ${version}:\n${lines.join("\n")}`);
  });
}
