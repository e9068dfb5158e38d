import postgres from "postgres";
import { migrationFiles, type Scratch, supabase } from "./scratch.ts";
import { schemaFiles } from "./stack/schemas.ts";

export const MIGRATED = "migrated";
const DECLARED = "declared";

export interface SchemaDiff {
  /** URL of the database that the migrations made. */
  migratedUrl: string;
  /** DDL that leads from what the migrations make to what supabase/schemas describes; empty when there is none. */
  statements: string;
  /** Rows that only one of the two inserts, `-` from the migrations and `+` from the schemas. */
  rows: string;
}

export async function diffOfSchemas(scratch: Scratch): Promise<SchemaDiff> {
  const migratedUrl = await scratch.create(MIGRATED, await migrationFiles());
  const declaredUrl = await scratch.create(DECLARED, await schemaFiles());
  const [statements, before, after] = await Promise.all([
    supabase("db", "diff", "--from", migratedUrl, "--to", declaredUrl),
    allRows(migratedUrl),
    allRows(declaredUrl),
  ]);
  const rows = [
    ...[...before].filter((row) => !after.has(row)).map((row) => `- ${row}`),
    ...[...after].filter((row) => !before.has(row)).map((row) => `+ ${row}`),
  ];
  return { migratedUrl, statements: statements.trim(), rows: rows.join("\n") };
}

/** Every row that the DDL itself inserts (meters, the default plan), without what differs from run to run. */
async function allRows(url: string): Promise<Set<string>> {
  const sql = postgres(url, { max: 1 });
  try {
    const tables = await sql<{ name: string; varying: string[] }[]>`
      select attrelid::regclass::text as name,
        coalesce(array_agg(attname::text) filter (
          where attidentity <> '' or atttypid = 'timestamptz'::regtype
        ), '{}') as varying
      from pg_attribute join pg_class on pg_class.oid = attrelid
      where relnamespace in ('spend'::regnamespace, 'spend_private'::regnamespace)
        and relkind = 'r' and attnum > 0 and not attisdropped
      group by attrelid`;
    const rows = new Set<string>();
    for (const { name, varying } of tables) {
      const found = await sql<{ row: string }[]>`
        select (to_jsonb(t) - ${varying}::text[])::text as row from ${sql.unsafe(name)} as t`;
      for (const { row } of found) rows.add(`${name} ${row}`);
    }
    return rows;
  } finally {
    await sql.end();
  }
}
