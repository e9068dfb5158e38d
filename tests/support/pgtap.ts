// pgTAP files, as `supabase test db` runs them: psql's \ir, rows printed, TAP parsed.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Sql } from "postgres";
import { type FinalResults, Parser, type Result } from "tap-parser";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { describeSqlError } from "../../scripts/stack/sql_error.ts";

const FOLDER = "supabase/tests";

export interface PgtapOutcome {
  assertions: { result: Result; diagnosis: string }[];
  plan: FinalResults;
  /** Why the file did not run to its end; null when it did. */
  error: string | null;
}

/** The files of supabase/tests whose path contains `part`. */
export function pgtapFiles(part: string): string[] {
  return readdirSync(join(PROJECT, FOLDER), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".sql") && file.includes(part))
    .sort();
}

/** Runs one of `pgtapFiles` in a database, which it leaves as it was. `sql` has one connection. */
export async function runPgtap(sql: Sql, file: string): Promise<PgtapOutcome> {
  // Row by row, as psql would print them: what came before an error is not lost with it.
  let tap = "";
  try {
    for (const part of partsOf(join(FOLDER, file))) {
      await sql
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
  }
}

/** What is wrong with a run as a whole, beside its assertions; null: nothing. */
export function pgtapFault({ error, plan }: PgtapOutcome): string | null {
  if (error !== null) return error;
  if (plan.bailout) return `bailed out: ${plan.bailout}`;
  if (plan.plan.end === null || plan.plan.end < 1) return "the file has no plan";
  if (plan.count !== plan.plan.end) {
    return `planned ${plan.plan.end} assertions, ran ${plan.count}`;
  }
  return null;
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

function parseTap(tap: string): Promise<Omit<PgtapOutcome, "error">> {
  return new Promise((resolve) => {
    const assertions: PgtapOutcome["assertions"] = [];
    const parser = new Parser((plan) => resolve({ assertions, plan }));
    parser.on("assert", (result) => assertions.push({ result, diagnosis: "" }));
    parser.on("comment", (comment) => {
      const last = assertions.at(-1);
      if (last !== undefined) last.diagnosis += comment;
    });
    parser.end(tap);
  });
}
