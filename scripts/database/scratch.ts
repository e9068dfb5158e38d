// A throwaway server for generating and checking: no Docker, nothing left behind.
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import postgres from "postgres";
import { findSupabase } from "../stack/binaries.ts";
import { bootstrap } from "../stack/bootstrap.ts";
import { type DatabaseOptions, startDatabase } from "../stack/database.ts";
import { PROJECT } from "../stack/paths.ts";
import { StackError } from "../stack/ports.ts";
import { describeSqlError } from "../stack/sql_error.ts";

export interface Scratch {
  /** A new database with Supabase's own roles and schemas, then `files` applied in order. Answers its URL. */
  create(name: string, files: string[]): Promise<string>;
  /** A copy of a database that `create` made; nobody may be connected to it. */
  clone(from: string, name: string): Promise<string>;
}

/** Runs `work` on an empty server of its own, and removes the server whatever happens; its data only without `dataDir`. */
export async function onScratchServer<T>(
  work: (scratch: Scratch) => Promise<T>,
  options: Pick<DatabaseOptions, "dataDir"> = {},
): Promise<T> {
  const server = await startDatabase(options);
  const admin = postgres(server.url, { max: 1, onnotice: () => {} });
  const make = async (name: string, template: string) => {
    await admin.unsafe(`create database "${name}" template "${template}"`);
    // Also for a copy: the settings of a database do not come along with its content.
    await bootstrap(server.urlOf(name));
    // Our servers speak no TLS; said in the URL, the CLI does not warn about it.
    return `${server.urlOf(name)}?sslmode=disable`;
  };
  try {
    return await work({
      clone: (from, name) => make(name, from),
      async create(name, files) {
        const url = await make(name, "template1");
        await applyFiles(url, files);
        return url;
      },
    });
  } finally {
    await admin.end();
    await server.stop();
  }
}

/** The migrations, oldest first. */
export async function migrationFiles(): Promise<string[]> {
  const folder = join(PROJECT, "supabase/migrations");
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.endsWith(".sql"))
    .sort()
    .map((name) => join(folder, name));
}

async function applyFiles(url: string, files: string[]): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    for (const file of files) {
      const text = await readFile(file, "utf8");
      await sql.unsafe(text).catch((error) => {
        throw new StackError(describeSqlError(error, relative(PROJECT, file), text));
      });
    }
  } finally {
    await sql.end();
  }
}

/** Runs the Supabase CLI and answers what it printed. Throws with its complaint when it fails. */
export async function supabase(...args: string[]): Promise<string> {
  const program = await findSupabase();
  const running = promisify(execFile)(program, args, { cwd: PROJECT, maxBuffer: 1 << 28 });
  running.child.stdin?.end();
  try {
    return (await running).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new StackError(`supabase ${args.slice(0, 2).join(" ")} failed:\n${stderr}${stdout}`);
  }
}
