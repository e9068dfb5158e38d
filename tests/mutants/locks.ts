// Every lock clause of the schema files, removed one at a time: found in the text, so that none can be forgotten.
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { schemaFiles } from "../../scripts/stack/schemas.ts";
import { type Mutant, pgtap, vitest } from "./mutant.ts";

/** What takes a lock, or lets others pass one. */
const LOCKS: [RegExp, string][] = [
  [/^ *lock table [^;]+;\n/gm, ""],
  [/^ *perform pg_advisory_xact_lock(_shared)?\([^;]*\);\n/gm, ""],
  [/\bif not pg_try_advisory_xact_lock\(.*\) then/g, "if false then"],
  [/(?<=\S)\s+for (no key update|share|update)(?! to )( of \w+)?( skip locked)?(?=[;\s])/g, ""],
  [/ (skip locked|nowait)(?=[;\s])/g, ""],
];

/**
 * Locks that nothing can show to be needed: the server takes the same or a stronger one in the same statement or the
 * next. Each with its reason.
 */
const NOT_NEEDED: Record<string, string> = {
  "lock removed: spend_private.fix_prices: for no key update":
    "the update that follows locks the same rows; only their order could differ, and one plan has one order",
  "lock removed: spend.book_stray_sandbox: perform pg_advisory_xact_lock(hashtextextended('spend.stray ' || book_stray_sandbox.sandbox_id, 0));":
    "reserve's lock of the idempotency key makes the second of two wait as well, and answers it the first one's",
};

/** Tests by the folder of the schema; races are forced in race/locks, and stormed in the others. */
const TESTS: Record<string, string[]> = {
  "10_tenants": [vitest("race/arrivals"), vitest("race/maintenance"), vitest("race/property")],
  "20_prices": [vitest("race/prices"), vitest("race/locks")],
  "30_quotas": [
    vitest("race/locks"),
    vitest("race/turns"),
    vitest("race/shapes"),
    vitest("race/maintenance"),
    vitest("race/property"),
    vitest("race/deadlock"),
  ],
  "40_reservations": [vitest("race/locks"), vitest("race/reserve"), vitest("race/deadlock")],
  "50_ledger": [vitest("race/locks"), vitest("race/ledger"), pgtap("ledger/")],
  "60_sandboxes": [vitest("race/locks"), vitest("race/contexts"), pgtap("sandboxes/")],
  "70_alerts": [vitest("race/alerts"), vitest("race/locks"), pgtap("alerts/")],
  "90_maintenance": [vitest("race/locks"), vitest("race/ledger"), vitest("race/maintenance")],
};

export async function lockMutants(): Promise<Mutant[]> {
  const mutants: Mutant[] = [];
  for (const path of await schemaFiles()) {
    const file = relative(PROJECT, path);
    const text = await readFile(path, "utf8");
    for (const [pattern, to] of LOCKS) {
      for (const match of text.matchAll(pattern)) {
        const clause = match[0].trim().replace(/\s+/g, " ");
        const name = nameOf(`lock removed: ${functionAt(text, match.index)}: ${clause}`, mutants);
        if (name in NOT_NEEDED) continue;
        // Enough of what stands before it that the text is there once.
        const before = text.slice(0, match.index);
        const from = text.slice(lastStart(before), match.index + match[0].length);
        mutants.push({
          name,
          change: { file, from, to: from.slice(0, from.length - match[0].length) + to },
          tests: TESTS[file.split("/")[2] ?? ""] ?? [],
        });
      }
    }
  }
  return mutants;
}

/** The second lock of a kind in a function is told by a number. */
function nameOf(lock: string, mutants: Mutant[]): string {
  const alike = mutants.filter(({ name }) => name.replace(/ \(\d+\)$/, "") === lock).length;
  return alike === 0 ? lock : `${lock} (${alike + 1})`;
}

/** Where the last function of a text begins. */
function lastStart(text: string): number {
  return Math.max(0, text.lastIndexOf("create function"));
}

function functionAt(text: string, index: number): string {
  const [, name = "?"] =
    /create function ([\w.]+)/.exec(text.slice(lastStart(text.slice(0, index)))) ?? [];
  return name;
}
