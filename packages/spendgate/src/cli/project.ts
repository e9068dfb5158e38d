// A Supabase project: the folder that has supabase/config.toml.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parse } from "@decimalturn/toml-patch";
import { Failure } from "./failure.ts";

/** The parts of config.toml that we look at. */
export interface Config {
  api?: { enabled?: boolean; port?: number; schemas?: string[] };
  db?: { port?: number; seed?: { sql_paths?: string[] } };
  functions?: Record<string, FunctionConfig>;
}

export interface FunctionConfig {
  enabled?: boolean;
  verify_jwt?: boolean;
  entrypoint?: string;
  import_map?: string;
}

export class Project {
  /** @param root the folder that has, or gets, supabase/ */
  constructor(readonly root: string) {}

  /** A path below the root. */
  path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  /** A path below supabase/, as config.toml has them. */
  inSupabase(...parts: string[]): string {
    return join(this.root, "supabase", ...parts);
  }

  get name(): string {
    return basename(this.root);
  }

  get hasConfig(): boolean {
    return existsSync(this.inSupabase("config.toml"));
  }

  /** The CLI's other forms of its configuration, which we do not edit. */
  get otherConfig(): string | undefined {
    return ["config.json", "config.jsonc"].find((file) => existsSync(this.inSupabase(file)));
  }

  read(path: string): string | undefined {
    const full = this.path(path);
    return existsSync(full) && statSync(full).isFile() ? readFileSync(full, "utf8") : undefined;
  }

  /** Files of a folder, by name; none where there is no such folder. */
  list(folder: string): string[] {
    const full = this.path(folder);
    if (!existsSync(full)) return [];
    return readdirSync(full, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .sort();
  }

  get configText(): string | undefined {
    return this.read("supabase/config.toml");
  }

  /** @throws Failure where config.toml is no TOML. */
  get config(): Config {
    const text = this.configText;
    return text === undefined ? {} : readConfig(text);
  }
}

/** @throws Failure, with the line, where it is no TOML. */
export function readConfig(text: string): Config {
  try {
    return parse(text) as Config;
  } catch (error) {
    const [reason = ""] = String((error as Error).message).split("\n");
    throw new Failure(
      `supabase/config.toml is not valid TOML: ${reason}`,
      "Correct it; `npx supabase migration list --local` reads it too.",
    );
  }
}

/** The project that `folder` is in, looking upward; undefined where there is none. */
export function findProject(folder: string): Project | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const project = new Project(at);
    if (project.hasConfig || project.otherConfig) return project;
    // Inside supabase/ itself.
    if (dirname(at) === at) return undefined;
  }
}

/** @throws Failure where there is none. */
export function expectProject(folder: string): Project {
  const project = findProject(folder);
  if (project) return project;
  throw new Failure(
    `There is no supabase/config.toml in ${resolve(folder)} or above it.`,
    "Change to your Supabase project, or run `npx spendgate init` to begin one here.",
  );
}
