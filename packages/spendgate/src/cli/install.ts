// The plan of `init` and `upgrade`: migrations, prices, functions, config.toml, and the record of it all.
import { manifest, pricesText } from "./assets.ts";
import { mergeConfig, newConfig, SCHEMA } from "./config.ts";
import { Failure, USAGE } from "./failure.ts";
import {
  filesOf,
  folderOf,
  fromRoot,
  functionChanges,
  functionConfig,
  functionsRoot,
  type InstallRecord,
  isTheirs,
  RECORD,
  readRecord,
  recordText,
} from "./functions.ts";
import {
  installedMigrations,
  installedPrices,
  migrationFile,
  missingMigrations,
  pricesFile,
  releaseOf,
  TimeStamps,
} from "./migrations.ts";
import type { Change, Plan } from "./plan.ts";
import type { Project } from "./project.ts";
import { compareVersions, count } from "./text.ts";

export interface InstallOptions {
  /** Functions to install. */
  names: string[];
  /** Write the price catalogue where the project has none. */
  prices: boolean;
  /** Change config.toml. */
  config: boolean;
  /** Replace what was changed by hand. */
  force: boolean;
}

/** What of Spendgate the project has. */
export interface Installed {
  /** Newest release of its migrations or functions; undefined where there is none. */
  version: string | undefined;
  migrations: ReturnType<typeof installedMigrations>;
  record: InstallRecord | undefined;
}

/** @throws Failure where the project is of a newer version than this command. */
export function lookAt(project: Project): Installed {
  const migrations = installedMigrations(project);
  const record = readRecord(project);
  const versions = [releaseOf(migrations), record?.version].filter((each) => each !== undefined);
  const version = versions.sort(compareVersions).at(-1);
  if (version !== undefined && compareVersions(version, manifest.version) > 0) {
    throw new Failure(
      `The project has Spendgate ${version}, and this command is ${manifest.version}.`,
      "Run `npx spendgate@latest` instead.",
    );
  }
  return { version, migrations, record };
}

/** The names in `list`, or all where it is undefined. @throws Failure for a name that is not known. */
export function functionNames(list: string | undefined): string[] {
  const all = Object.keys(manifest.functions);
  if (list === undefined) return all;
  if (list === "none") return [];
  const names = list.split(",").map((name) => name.trim());
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length === 0) return all.filter((name) => names.includes(name));
  throw new Failure(
    `There is no function ${unknown.join(", ")}.`,
    `Give some of ${all.join(",")}, or none.`,
    USAGE,
  );
}

export function installPlan(
  project: Project,
  { migrations, record }: Installed,
  { names, prices, config, force }: InstallOptions,
): Plan {
  const notes: string[] = [];
  const changes: Change[] = [];
  const stamps = new TimeStamps(project);
  for (const migration of missingMigrations(migrations)) {
    changes.push(migrationFile(migration, stamps));
  }
  for (const { file } of migrations.filter(({ isEdited }) => isEdited)) {
    notes.push(
      `supabase/migrations/${file} was changed by hand. Databases that have run it do not get the change: put it into a migration of your own.`,
    );
  }
  if (prices && installedPrices(project).length === 0) {
    changes.push(pricesFile(pricesText(), stamps));
  }
  const root = functionsRoot(project, record);
  const own = names.filter((name) => !isTheirs(project, project.config, name, root));
  for (const name of names.filter((name) => !own.includes(name))) {
    notes.push(
      `The project has a function ${name} of its own: it stays, and Spendgate's is left out.`,
    );
  }
  const files = filesOf(own);
  const functions = functionChanges(project, root, files, record, force);
  changes.push(...filesToChanges(project, root, functions));
  for (const path of functions.kept) {
    notes.push(
      `${fromRoot(project, root, path)} was changed by hand and is kept. --force replaces it.`,
    );
  }
  for (const path of own.length > 0 ? functions.unused : []) {
    notes.push(
      `${fromRoot(project, root, path)} was changed by hand, and this version does not use it any more: carry your change over.`,
    );
  }
  if (config) changes.push(...configChange(project, own, root, notes));
  if (own.length > 0 || record) {
    changes.push({ path: RECORD, content: recordText(root, own, files) });
  }
  return { changes, notes };
}

function filesToChanges(
  project: Project,
  root: string,
  { add, change, remove }: ReturnType<typeof functionChanges>,
): Change[] {
  const at = (path: string) => fromRoot(project, root, path);
  const within = fromRoot(project, root);
  return [
    ...[...add, ...change].map(([path, content]) => ({ path: at(path), content, within })),
    ...remove.map((path) => ({ path: at(path), within: folderOf(at(path)) })),
  ];
}

function configChange(project: Project, names: string[], root: string, notes: string[]): Change[] {
  const functions = Object.fromEntries(names.map((name) => [name, functionConfig(name, root)]));
  if (!project.hasConfig && project.otherConfig) {
    notes.push(
      `supabase/${project.otherConfig} is not changed. Add "${SCHEMA}" to api.schemas, and to functions: ${JSON.stringify(functions)}`,
    );
    return [];
  }
  const before = project.configText ?? newConfig(projectId(project.name));
  const content = mergeConfig(before, functions);
  return [{ path: "supabase/config.toml", content, showsDiff: true }];
}

/** What the CLI makes of a folder's name. */
function projectId(name: string): string {
  return name.replace(/[^\w.-]+/g, "_").slice(0, 40) || "project";
}

/** What is left for the people who run the project. */
export function nextSteps(names: string[]): string[] {
  return [
    "Next:",
    "  1. npx supabase db push",
    "  2. Hosted: expose the schema spend (Dashboard, API settings, Exposed schemas). Never expose spend_private.",
    ...(names.length > 0
      ? [
          "  3. npx supabase secrets set OPENAI_API_KEY=…   (or another provider's; E2B_API_KEY for sandboxes)",
          `  4. npx supabase functions deploy ${names.join(" ")} --use-api`,
        ]
      : []),
    `  ${names.length > 0 ? 5 : 3}. npx spendgate doctor   (says what is missing: tenants, maintenance, …)`,
  ];
}

export function describeMissing(installed: Installed): string {
  return count(missingMigrations(installed.migrations).length, "new migration");
}
