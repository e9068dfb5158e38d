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

/** What is most likely to find the locks of a function missing, and is tried first: it takes seconds. */
const LIKELY: Record<string, string[]> = {
  "spend_private.follow_plans": [vitest("race/arrivals", "maintenance does not wait for a tenant")],
  "spend_private.lock_price_version": [vitest("race/prices", "commit in their order")],
  "spend_private.verify_price_book": [vitest("race/price_book", "does not wait for a change")],
  "spend_private.await_turn": [vitest("race/turns")],
  "spend_private.join_calls": [vitest("race/locks", "While quotas are changed")],
  "spend_private.lock_all_slots": [vitest("race/locks", "^Slots")],
  "spend_private.lock_quota_changes": [vitest("race/locks", "Two administrators")],
  "spend_private.lock_tenant_quota_changes": [vitest("race/locks", "Two who change quotas")],
  "spend_private.stop_calls": [
    vitest("race/locks", "While a call is under way|is not rebuilt beside"),
  ],
  "spend_private.try_stop_calls": [vitest("race/maintenance", "Expiry|waits nowhere")],
  "spend_private.hold_at_once": [vitest("race/reserve", "A forced interleaving")],
  "spend_private.hold": [vitest("race/locks", "^Slots")],
  "spend_private.lock_due_balances": [vitest("race/maintenance", "^Expiry")],
  "spend_private.expire_together": [vitest("race/reserve", "with the expiry of its hold")],
  "spend_private.expire_reservations": [vitest("race/maintenance", "waits nowhere")],
  "spend_private.await_slot": [vitest("race/locks", "^Slots")],
  "spend_private.lock_reservations": [
    vitest("race/batches", "what another transaction has locked"),
  ],
  "spend_private.lock_reservation": [vitest("race/locks", "The same thing twice")],
  "spend_private.fold_refusals": [vitest("race/passing_over", "^Folding")],
  "spend_private.replay": [vitest("race/reserve", "with one idempotency key")],
  "spend_private.earlier_adjustment": [vitest("race/locks", "adjust with the same key")],
  "spend_private.adopt_ledger": [vitest("race/locks", "adopting a restored ledger")],
  "spend_private.ensure_partition": [
    vitest("race/locks", "a new partition"),
    vitest("race/maintenance", "made beside bookings"),
  ],
  "spend_private.follow_time_zone_in_rollups": [vitest("race/ledger", "is moving to Kolkata")],
  "spend_private.reprice": [vitest("race/reprice")],
  "spend_private.roll_up": [vitest("race/locks", "lets two roll-ups")],
  "spend_private.roll_up_late": [vitest("race/passing_over", "^Counting")],
  "spend_private.verify_slice": [vitest("race/locks", "slices of the verification")],
  "spend_private.book_stray_sandbox": [vitest("race/contexts", "reported by two at once")],
  "spend_private.end_long_paused": [vitest("race/passing_over", "^Ending")],
  "spend.look_at_paused": [vitest("race/passing_over", "^Looking")],
  "spend_private.claim_deliveries": [vitest("race/alerts", "^A deliverer")],
  "spend_private.finish_delivery": [vitest("race/alerts", "^Two deliveries")],
  "spend_private.close_alerts": [vitest("race/alerts", "^Two deliveries")],
  "spend_private.resolve_incidents": [vitest("race/alerts", "^Incidents")],
  "spend_private.route_alerts": [vitest("race/alerts", "^A deliverer")],
  "spend.save_alert_channel": [vitest("race/alerts", "^The channels")],
  "spend_private.rebuild_rollups": [vitest("race/locks", "^The ledger's state")],
  "spend_private.drop_months": [vitest("race/locks", "^The ledger's state")],
  "spend_private.delete_old_balances": [vitest("race/maintenance", "waits nowhere")],
  "spend_private.stop_recounts": [vitest("race/maintenance", "waits nowhere")],
  "spend_private.record_problem": [vitest("race/passing_over", "comes back to two")],
  "spend_private.claim_context": [vitest("race/contexts")],
  "spend_private.lock_context": [vitest("race/locks", "^Sandboxes")],
  "spend_private.use_context": [vitest("race/locks", "^Sandboxes")],
  "spend_private.delete_old_reservations": [vitest("race/maintenance", "waits nowhere")],
  "spend_private.delete_reservations_in": [vitest("race/retention")],
  "spend_private.delete_old_rows": [vitest("race/retention"), vitest("race/alerts")],
  "spend_private.run_job": [vitest("race/ledger", "shares the jobs")],
};

export async function lockMutants(): Promise<Mutant[]> {
  const mutants: Mutant[] = [];
  const notNeeded = new Set(Object.keys(NOT_NEEDED));
  for (const path of await schemaFiles()) {
    const file = relative(PROJECT, path);
    const text = await readFile(path, "utf8");
    for (const [pattern, to] of LOCKS) {
      for (const match of text.matchAll(pattern)) {
        const clause = match[0].trim().replace(/\s+/g, " ");
        const inFunction = functionAt(text, match.index);
        const name = nameOf(`lock removed: ${inFunction}: ${clause}`, mutants);
        if (notNeeded.delete(name)) continue;
        // Enough of what stands before it that the text is there once.
        const before = text.slice(0, match.index);
        const from = text.slice(lastStart(before), match.index + match[0].length);
        mutants.push({
          name,
          change: { file, from, to: from.slice(0, from.length - match[0].length) + to },
          tests: [...(LIKELY[inFunction] ?? []), ...(TESTS[file.split("/")[2] ?? ""] ?? [])],
        });
      }
    }
  }
  if (notNeeded.size > 0) throw new Error(`no such lock: ${[...notNeeded].join("; ")}`);
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
