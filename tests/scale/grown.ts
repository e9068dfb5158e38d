import { readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { inject } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";

/**
 * A database of a project that has grown, by one of the files, or by both in this order. The first test file that asks for
 * one fills it; the others get a copy.
 */
export async function cloneGrown(
  ...fills: ("fill.sql" | "fill_spend.sql")[]
): Promise<TestDatabase> {
  const admin = postgres(inject("serverUrl"), { max: 1, onnotice: () => {} });
  try {
    await admin`select pg_advisory_lock(hashtextextended('grown', 0))`;
    // A server may have several templates: one for each change that is tried.
    let template = inject("templateDatabase");
    for (const fill of fills) template = await grow(admin, template, fill);
    return await cloneDatabase({ connections: 1, template });
  } finally {
    await admin.end();
  }
}

/** The name of the database that a file makes of a template. */
async function grow(admin: Sql, template: string, fill: string): Promise<string> {
  const name = `${template}_${fill.replace(".sql", "")}`;
  const found = await admin`select from pg_database where datname = ${name}`;
  if (found.length > 0) return name;
  const { sql, name: filled } = await cloneDatabase({ connections: 1, template });
  await sql.unsafe(await readFile(join(import.meta.dirname, fill), "utf8")).simple();
  await sql.end();
  await admin.unsafe(`alter database ${filled} rename to ${name}`);
  return name;
}
