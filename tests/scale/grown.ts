import { readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { inject } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";

/** A database of a project that has grown (fill.sql). The first file that asks for one fills it; the others get a copy. */
export async function cloneGrown(): Promise<TestDatabase> {
  // A server may have several templates: one for each change that is tried.
  const name = `${inject("templateDatabase")}_grown`;
  const admin = postgres(inject("serverUrl"), { max: 1, onnotice: () => {} });
  try {
    await admin`select pg_advisory_lock(hashtextextended(${name}, 0))`;
    const found = await admin`select from pg_database where datname = ${name}`;
    if (found.length === 0) {
      const filled = await cloneDatabase({ connections: 1 });
      await filled.sql
        .unsafe(await readFile(join(import.meta.dirname, "fill.sql"), "utf8"))
        .simple();
      await filled.sql.end();
      await admin.unsafe(`alter database ${filled.name} rename to ${name}`);
    }
  } finally {
    await admin.end();
  }
  return cloneDatabase({ connections: 1, template: name });
}
