// Migrations and seeds by the real Supabase CLI.
import { spawn } from "node:child_process";
import { findSupabase } from "./binaries.ts";
import { PROJECT } from "./paths.ts";
import { StackError } from "./ports.ts";

/** What the CLI calls "local" (supabase/config.toml, `[db] port`). */
const LOCAL_DATABASE_PORT = 54322;

export interface MigrateOptions {
  /** Seed files instead of those of config.toml, relative to supabase/. */
  seeds?: string[];
  /** Folder whose supabase/migrations are applied instead of this project's; without seeds. */
  workdir?: string;
}

/**
 * Applies the migrations that the database lacks, then the seeds that are new or changed
 * (`supabase db push --include-seed`). Throws with everything the CLI printed when it fails.
 */
export async function migrate(url: string, options: MigrateOptions = {}): Promise<void> {
  const { port, pathname } = new URL(url);
  const local = Number(port) === LOCAL_DATABASE_PORT && pathname === "/postgres";
  // Our servers speak no TLS; said in the URL, the CLI does not try it first.
  const target = local ? [] : [`--remote=${url}?sslmode=disable`];
  const child = spawn(
    await findSupabase(),
    [
      "db",
      "push",
      ...(options.workdir === undefined ? ["--include-seed"] : []),
      "--yes",
      "--workdir",
      options.workdir ?? PROJECT,
      ...target,
    ],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        // Whatever a shell says that is for another stack.
        SUPABASE_DB_PORT: port,
        ...(options.seeds && { SUPABASE_DB_SEED_SQL_PATHS: options.seeds.join(",") }),
      },
    },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new StackError(`supabase db push failed:\n${output.trim()}`);
}
