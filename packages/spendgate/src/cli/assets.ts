// What the package brings: migrations, prices, functions, the changelog. `npm run build` writes it into dist/assets.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compareVersions, sha256 } from "./text.ts";

export interface Migration {
  /** Its name in the package; in a project it gets a time stamp of its own. */
  file: string;
  /** The release that it came with. */
  release: string;
  sha256: string;
}

export interface FunctionEntry {
  /** Relative to the folder of the functions. */
  entrypoint: string;
  importMap?: string;
}

export interface Manifest {
  version: string;
  contractVersion: number;
  migrations: Migration[];
  functions: Record<string, FunctionEntry>;
}

/** Hashes of what earlier releases brought, by path: what has one of them was not changed by hand. */
type Releases = Record<string, { functions: Record<string, string> }>;

/** dist/assets, beside the command itself. */
const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "assets");

function text(path: string): string {
  return readFileSync(join(FOLDER, path), "utf8");
}

function json<T>(path: string): T {
  return JSON.parse(text(path)) as T;
}

export const manifest = json<Manifest>("manifest.json");

export function migrationText({ file }: Migration): string {
  return text(`migrations/${file}`);
}

export function pricesText(): string {
  return text("prices.sql");
}

/** Files of the functions, by path below their folder. */
export function functionFiles(): Map<string, string> {
  const paths = readdirSync(join(FOLDER, "functions"), { recursive: true, withFileTypes: true });
  const files = paths
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(FOLDER, "functions").length + 1))
    .map((path) => path.replaceAll("\\", "/"))
    .sort();
  return new Map(files.map((path) => [path, text(`functions/${path}`)]));
}

const releases = Object.values(json<Releases>("releases.json"));

/** Whether a release brought this file with this text. */
export function isPublished(path: string, content: string): boolean {
  const hash = sha256(content);
  return releases.some(({ functions }) => functions[path] === hash);
}

/** Every file of the functions that a release ever brought. */
export function publishedPaths(): string[] {
  return [...new Set(releases.flatMap(({ functions }) => Object.keys(functions)))];
}

/** The changelog's sections of the versions after `from`, up to the package's, newest first. */
export function changesSince(from: string): string {
  const [, ...sections] = text("CHANGELOG.md").split(/^(?=## \[)/m);
  return sections
    .filter((section) => {
      const version = /^## \[(\d[^\]]*)\]/.exec(section)?.[1];
      if (version === undefined) return false;
      return compareVersions(version, from) > 0 && compareVersions(version, manifest.version) <= 0;
    })
    .join("")
    .trim();
}
