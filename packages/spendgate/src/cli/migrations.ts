// Spendgate's migrations in a project: which are there, which are missing, and what they are called.
import { type Migration, manifest, migrationText } from "./assets.ts";
import type { Project } from "./project.ts";
import { compareVersions, sha256 } from "./text.ts";

export const MIGRATIONS = "supabase/migrations";

/** First line of each migration that the command writes. */
const HEADER = /^-- Spendgate (\S+): (\S+), sha256 ([0-9a-f]{64})\b.*$/m;
const PRICES = "prices";
/** First line of the catalogue, as 0.1.0 had it copied by hand. */
const CATALOGUE = /^-- Made by npm run prices:import /;

export interface InstalledMigration {
  /** Name of the file in the project. */
  file: string;
  /** Name in the package. */
  source: string;
  release: string;
  /** Its SQL is not what was published. */
  isEdited: boolean;
}

function writtenFile(release: string, source: string, body: string): string {
  return `-- Spendgate ${release}: ${source}, sha256 ${sha256(body)}. Do not edit it: \`npx spendgate upgrade\` adds what follows.\n${body}`;
}

/** A migration as the command wrote it, in its parts. */
function readFile(text: string) {
  const [line = "", ...rest] = text.replaceAll("\r\n", "\n").split("\n");
  const [, release, source, hash] = HEADER.exec(line) ?? [];
  if (release === undefined || source === undefined || hash === undefined) return undefined;
  return { release, source, isEdited: sha256(rest.join("\n")) !== hash };
}

/** All of Spendgate's migrations in the project, those that were copied by hand too; without prices. */
export function installedMigrations(project: Project): InstalledMigration[] {
  return project.list(MIGRATIONS).flatMap((file): InstalledMigration[] => {
    if (!file.endsWith(".sql")) return [];
    const text = project.read(`${MIGRATIONS}/${file}`) ?? "";
    const written = readFile(text);
    if (written) return written.source === PRICES ? [] : [{ file, ...written }];
    const hash = sha256(text);
    const copied = manifest.migrations.find(
      (known) => known.sha256 === hash || (known.file === file && /\bspend_private\b/.test(text)),
    );
    if (copied === undefined) return [];
    return [
      { file, source: copied.file, release: copied.release, isEdited: copied.sha256 !== hash },
    ];
  });
}

/** Migrations of the package that the project lacks, in their order. */
export function missingMigrations(installed: InstalledMigration[]): Migration[] {
  const sources = new Set(installed.map(({ source }) => source));
  return manifest.migrations.filter(({ file }) => !sources.has(file));
}

/** The newest release among them; undefined where there are none. */
export function releaseOf(installed: InstalledMigration[]): string | undefined {
  return installed
    .map(({ release }) => release)
    .sort(compareVersions)
    .at(-1);
}

/** The price migrations and the catalogue copied by hand, oldest first. */
export function installedPrices(project: Project): { file: string; text: string }[] {
  const folders = [MIGRATIONS, "supabase/seeds", "supabase"];
  return folders.flatMap((folder) =>
    project
      .list(folder)
      .filter((file) => file.endsWith(".sql"))
      .map((file) => ({
        file: `${folder}/${file}`,
        text: project.read(`${folder}/${file}`) ?? "",
      }))
      .filter(({ text }) => CATALOGUE.test(text) || readFile(text)?.source === PRICES),
  );
}

/** Gives out time stamps, each later than the last: after now, and after every migration of the project. */
export class TimeStamps {
  #last: number;

  constructor(project: Project, now = new Date()) {
    const versions = project.list(MIGRATIONS).map((file) => /^(\d+)_/.exec(file)?.[1] ?? "");
    const newest = versions
      .filter((version) => version.length === 14)
      .sort()
      .at(-1);
    const after = newest === undefined ? 0 : momentOf(newest) + 1000;
    this.#last = Math.max(after, now.getTime()) - 1000;
  }

  next(): string {
    this.#last += 1000;
    return new Date(this.#last).toISOString().replace(/\D/g, "").slice(0, 14);
  }
}

/** A time stamp that is no moment (a month 13) counts on from the last one that is. */
function momentOf(version: string): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(version)?.map(Number) ?? [];
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second);
}

/** The file of a migration in the project. */
export function migrationFile(migration: Migration, stamps: TimeStamps) {
  const name = migration.file.replace(/^\d+_/, "").replace(/\.sql$/, "");
  return {
    path: `${MIGRATIONS}/${stamps.next()}_spendgate_${name}.sql`,
    content: writtenFile(migration.release, migration.file, migrationText(migration)),
  };
}

export function pricesFile(body: string, stamps: TimeStamps) {
  return {
    path: `${MIGRATIONS}/${stamps.next()}_spendgate_prices.sql`,
    content: writtenFile(manifest.version, PRICES, body),
  };
}
