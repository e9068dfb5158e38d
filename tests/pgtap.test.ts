// Runs supabase/tests, which are written for `supabase test db`, and reports each of their assertions as a test.
import { afterAll, describe, expect, it } from "vitest";
import { cloneDatabase } from "./support/database.ts";
import { type PgtapOutcome, pgtapFault, pgtapFiles, runPgtap } from "./support/pgtap.ts";

// Part of a path: only those files are run (`-t` picks names of tests, and runs every file).
const files = pgtapFiles(process.env.SPENDGATE_PGTAP ?? "");

it("There are pgTAP files to run", () => {
  expect(files).not.toEqual([]);
});

// Its thousand functions are made once, not by each file anew.
const withPgtap = await cloneDatabase({ connections: 1 });
await withPgtap.sql`create extension pgtap with schema extensions`;
await withPgtap.sql.end();
afterAll(() => withPgtap.close());

for (const file of files) {
  // The assertions are only known once the file has run, and Vitest wants to know its tests before it runs them.
  const outcome = await runAlone(file);
  describe(file, () => {
    for (const { result, diagnosis } of outcome.assertions) {
      it.skipIf(result.skip)(result.name || `assertion ${result.id}`, () => {
        if (!result.ok && !result.todo) fail(diagnosis);
      });
    }
    it("runs to its end", () => {
      const fault = pgtapFault(outcome);
      if (fault !== null) fail(fault);
    });
  });
}

async function runAlone(file: string): Promise<PgtapOutcome> {
  const database = await cloneDatabase({ connections: 1, template: withPgtap.name });
  try {
    return await runPgtap(database.sql, file);
  } finally {
    await database.close();
  }
}

/** Fails without a stack trace of this runner: the text says where in the SQL. */
function fail(message: string): never {
  const error = new Error(message);
  error.stack = "";
  throw error;
}
