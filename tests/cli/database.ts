// A database as a hosted project has it before its first migration, and the CLI's push into it.
import { randomBytes } from "node:crypto";
import postgres, { type Sql } from "postgres";
import { inject } from "vitest";
import { bootstrap } from "../../scripts/stack/bootstrap.ts";
import { migrate } from "../../scripts/stack/migrate.ts";

export interface EmptyDatabase {
  url: string;
  sql: Sql;
  /** `supabase db push`, of the project in `workdir`. */
  push(workdir: string): Promise<void>;
  close(): Promise<void>;
}

export async function emptyDatabase(): Promise<EmptyDatabase> {
  const admin = postgres(inject("serverUrl"), { max: 1, onnotice: () => {} });
  const name = `cli_${randomBytes(6).toString("hex")}`;
  await admin.unsafe(`create database ${name}`);
  const url = Object.assign(new URL(inject("serverUrl")), { pathname: `/${name}` }).href;
  await bootstrap(url);
  const sql = postgres(url, { max: 2, onnotice: () => {} });
  return {
    url,
    sql,
    push: (workdir) => migrate(url, { workdir }),
    async close() {
      await sql.end({ timeout: 5 });
      await admin.unsafe(`drop database ${name} with (force)`);
      await admin.end();
    },
  };
}
