// Runs supabase/tests, which are written for `supabase test db`, and reports each of their assertions as a test.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type FinalResults, Parser, type Result } from "tap-parser";
import { describe, expect, it } from "vitest";
import { PROJECT } from "../scripts/stack/paths.ts";
import { describeSqlError } from "../scripts/stack/sql_error.ts";
import { cloneDatabase } from "./support/database.ts";

const FOLDER = "supabase/tests";

interface Outcome {
  assertions: { result: Result; diagnosis: string }[];
  plan: FinalResults;
  /** Why the file did not run to its end; null when it did. */
  error: string | null;
}

const files = readdirSync(join(PROJECT, FOLDER), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".sql"))
  // Part of a path: only those files are run (`-t` picks names of tests, and runs every file).
  .filter((file) => file.includes(process.env.SPENDGATE_PGTAP ?? ""))
  .sort();

it("There are pgTAP files to run", () => {
  expect(files).not.toEqual([]);
});

for (const file of files) {
  // The assertions are only known once the file has run, and Vitest wants to know its tests before it runs them.
  const { assertions, plan, error } = await runFile(join(FOLDER, file));
  describe(file, () => {
    for (const { result, diagnosis } of assertions) {
      it.skipIf(result.skip)(result.name || `assertion ${result.id}`, () => {
        if (!result.ok && !result.todo) fail(diagnosis);
      });
    }
    it("runs to its end", () => {
      if (error !== null) fail(error);
      if (plan.bailout) fail(`bailed out: ${plan.bailout}`);
      expect(plan.plan.end, "the file has no plan").toBeGreaterThan(0);
      expect(plan.count, `planned ${plan.plan.end} assertions, ran ${plan.count}`).toBe(
        plan.plan.end,
      );
    });
  });
}

async function runFile(file: string): Promise<Outcome> {
  const database = await cloneDatabase({ connections: 1 });
  // Row by row, as psql would print them: what came before an error is not lost with it.
  let tap = "";
  try {
    for (const part of partsOf(file)) {
      await database.sql
        .unsafe(part.text)
        .simple()
        .forEach((row) => {
          tap += `${Object.values(row).join("|")}\n`;
        })
        .catch((error) => {
          throw new Error(describeSqlError(error, part.file, part.text));
        });
    }
    return { ...(await parseTap(tap)), error: null };
  } catch (error) {
    const outcome = await parseTap(tap);
    const last = outcome.assertions.at(-1)?.result;
    const place = last === undefined ? "" : `\n  after ${last.id}: ${last.name}`;
    return { ...outcome, error: (error as Error).message + place };
  } finally {
    await database.close();
  }
}

/**
 * A file as psql reads it: its own text and, in the place of each line `\ir path`, the file of that path. Blank lines stand
 * for the text before a part, so that the line of an error is the file's.
 */
function partsOf(file: string): { file: string; text: string }[] {
  const [first = "", ...rest] = readFileSync(join(PROJECT, file), "utf8").split(/^\\ir (.*)\n/m);
  const parts = [{ file, text: first }];
  let line = first.split("\n").length;
  for (let at = 0; at < rest.length; at += 2) {
    const [path = "", text = ""] = rest.slice(at);
    parts.push(...partsOf(join(dirname(file), path)));
    parts.push({ file, text: "\n".repeat(line) + text });
    line += text.split("\n").length;
  }
  return parts;
}

function parseTap(tap: string): Promise<Omit<Outcome, "error">> {
  return new Promise((resolve) => {
    const assertions: Outcome["assertions"] = [];
    const parser = new Parser((plan) => resolve({ assertions, plan }));
    parser.on("assert", (result) => assertions.push({ result, diagnosis: "" }));
    parser.on("comment", (comment) => {
      const last = assertions.at(-1);
      if (last !== undefined) last.diagnosis += comment;
    });
    parser.end(tap);
  });
}

/** Fails without a stack trace of this runner: the text says where in the SQL. */
function fail(message: string): never {
  const error = new Error(message);
  error.stack = "";
  throw error;
}
