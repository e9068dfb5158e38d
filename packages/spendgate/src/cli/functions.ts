// Spendgate's functions in a project: where they are, whose they are, and what of them was changed by hand.
import { existsSync } from "node:fs";
import { dirname, join, posix, relative, sep } from "node:path";
import { functionFiles, isPublished, manifest, publishedPaths } from "./assets.ts";
import { Failure } from "./failure.ts";
import type { Config, FunctionConfig, Project } from "./project.ts";
import { sha256 } from "./text.ts";

/** Remembers what the command wrote. Commit it: upgrades tell from it what was changed by hand. */
export const RECORD = "supabase/spendgate.json";
/** The CLI takes no folder that begins with an underscore for a function, and a project's own `_shared` stays its own. */
const ROOT = "functions/_spendgate";

export interface InstallRecord {
  $comment: string;
  version: string;
  functions: {
    /** Relative to supabase/. */
    root: string;
    names: string[];
    /** SHA-256 of each file as it was written. */
    files: Record<string, string>;
  };
}

/** @throws Failure where it cannot be read. */
export function readRecord(project: Project): InstallRecord | undefined {
  const text = project.read(RECORD);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as InstallRecord;
  } catch {
    throw new Failure(`${RECORD} is not JSON.`, "Restore it from Git, or delete it.");
  }
}

export function recordText(root: string, names: string[], files: Map<string, string>): string {
  const record: InstallRecord = {
    $comment: "Written by npx spendgate, which tells by it what was changed by hand. Commit it.",
    version: manifest.version,
    functions: {
      root,
      names,
      files: Object.fromEntries([...files].map(([path, content]) => [path, sha256(content)])),
    },
  };
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** Where the functions are, or are to be, relative to supabase/. */
export function functionsRoot(project: Project, record?: InstallRecord): string {
  if (record) return record.functions.root;
  return copiedRoot(project) ?? ROOT;
}

/** Where they were copied to by hand; undefined where they were not. */
export function copiedRoot(project: Project): string | undefined {
  const entrypoints = Object.values(project.config.functions ?? {}).map((each) => each.entrypoint);
  const roots = entrypoints
    .filter((entrypoint) => entrypoint !== undefined)
    .map((entrypoint) => posix.dirname(posix.dirname(posix.normalize(entrypoint))));
  return [...new Set([...roots, "functions", ROOT])].find((root) =>
    existsSync(project.inSupabase(root, "_shared/gate/gate.ts")),
  );
}

/** What config.toml says of a function whose files are below `root`. */
export function functionConfig(name: string, root: string): FunctionConfig {
  const entry = manifest.functions[name];
  const below = (path: string) => (root.startsWith("..") ? "" : "./") + posix.join(root, path);
  return {
    enabled: true,
    verify_jwt: false,
    entrypoint: below(entry?.entrypoint ?? `${name}/index.ts`),
    ...(entry?.importMap && { import_map: below(entry.importMap) }),
  };
}

/** Whether a function of that name is the project's own. */
export function isTheirs(project: Project, config: Config, name: string, root: string): boolean {
  const own = config.functions?.[name];
  const entrypoint = own?.entrypoint ?? `functions/${name}/index.ts`;
  const isBelowRoot = posix.normalize(entrypoint).startsWith(`${posix.normalize(root)}/`);
  if (isBelowRoot) return false;
  return own !== undefined || existsSync(project.inSupabase("functions", name));
}

/** The package's files that these functions need: what is not another function's alone. */
export function filesOf(names: string[]): Map<string, string> {
  const others = Object.keys(manifest.functions).filter((name) => !names.includes(name));
  if (names.length === 0) return new Map();
  return new Map(
    [...functionFiles()].filter(
      ([path]) => !others.some((name) => path.startsWith(`${name}/`) || path === `${name}.js`),
    ),
  );
}

export interface FunctionChanges {
  add: Map<string, string>;
  change: Map<string, string>;
  remove: string[];
  /** Changed by hand, and another in the package: left as they are. */
  kept: string[];
  /** Changed by hand, and not in the package any more: left, and used by nothing. */
  unused: string[];
}

/**
 * What has to change below `root`. A file is the project's own once it is neither what was written nor what was ever
 * published; only `force` overwrites it.
 */
export function functionChanges(
  project: Project,
  root: string,
  wanted: Map<string, string>,
  record: InstallRecord | undefined,
  force: boolean,
): FunctionChanges {
  const changes: FunctionChanges = {
    add: new Map(),
    change: new Map(),
    remove: [],
    kept: [],
    unused: [],
  };
  const written = record?.functions.files ?? {};
  const current = (path: string) => project.read(join("supabase", root, path));
  const isOurs = (path: string, content: string) =>
    sha256(content) === written[path] || isPublished(path, content);
  for (const [path, content] of wanted) {
    const found = current(path);
    if (found === undefined) changes.add.set(path, content);
    else if (sha256(found) === sha256(content)) continue;
    else if (force || isOurs(path, found)) changes.change.set(path, content);
    else changes.kept.push(path);
  }
  // What was copied by hand stays: functions of the project may import it.
  for (const path of record ? Object.keys(written) : publishedPaths()) {
    const found = wanted.has(path) ? undefined : current(path);
    if (found === undefined) continue;
    if (!isOurs(path, found)) changes.unused.push(path);
    else if (record) changes.remove.push(path);
  }
  return changes;
}

/** A path below supabase/ from the project's root, as people write it. */
export function fromRoot(project: Project, root: string, path = ""): string {
  return relative(project.root, join(project.inSupabase(root), path))
    .split(sep)
    .join("/");
}

export function folderOf(path: string): string {
  return dirname(path);
}
