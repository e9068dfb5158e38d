// The schema files, in the order of supabase/config.toml.
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import postgres from "postgres";
import { parse } from "smol-toml";
import { PROJECT } from "./paths.ts";
import { describeSqlError } from "./sql_error.ts";

const SUPABASE = join(PROJECT, "supabase");

interface Config {
  db?: { migrations?: { schema_paths?: string[] }; seed?: { sql_paths?: string[] } };
}

/** supabase/config.toml, as far as the stack reads it. */
export async function readConfig(): Promise<Config> {
  return parse(await readFile(join(SUPABASE, "config.toml"), "utf8")) as Config;
}

/** Absolute paths of the schema files as the CLI orders them: each pattern sorted, each file once. */
export async function schemaFiles(): Promise<string[]> {
  const patterns = (await readConfig()).db?.migrations?.schema_paths ?? [];
  return expandPatterns(SUPABASE, patterns);
}

/** Absolute paths of the seed files, in their order. */
export async function seedFiles(): Promise<string[]> {
  return expandPatterns(SUPABASE, (await readConfig()).db?.seed?.sql_paths ?? []);
}

async function expandPatterns(folder: string, patterns: string[]): Promise<string[]> {
  const files = new Set<string>();
  for (const pattern of patterns) {
    for (const file of (await expand(folder, pattern.split("/"))).sort()) files.add(file);
  }
  return [...files];
}

/** Paths under `folder` that match the segments, in which `*` stands for anything but a slash. */
async function expand(folder: string, [segment, ...rest]: string[]): Promise<string[]> {
  if (segment === undefined) return [folder];
  if (segment === "." || segment === "") return expand(folder, rest);
  const names = await readdir(folder).catch(() => []);
  const matcher = new RegExp(`^${segment.split("*").map(escapeRegExp).join("[^/]*")}$`);
  const found = await Promise.all(
    names.filter((name) => matcher.test(name)).map((name) => expand(join(folder, name), rest)),
  );
  return found.flat();
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/**
 * Applies the schema files to an empty, bootstrapped database, in one transaction.
 * The error names the file and the line.
 */
export async function applySchemas(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql.begin(async (transaction) => {
      for (const file of await schemaFiles()) {
        const text = await readFile(file, "utf8");
        await transaction.unsafe(text).catch((error: unknown) => {
          throw new Error(describeSqlError(error, relative(PROJECT, file), text), { cause: error });
        });
      }
    });
  } finally {
    await sql.end();
  }
}
