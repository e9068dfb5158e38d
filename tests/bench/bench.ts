// npm run bench [-- --quick] [--only name,name] [--events 1000000]: what is fast, and what a feature costs. Starts a
// PostgreSQL of its own, compares within the run, prints a table and writes bench/results.json (a part of it, bench/latest.json). docs/internals/performance.md
// explains the figures.
import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { onScratchServer } from "../../scripts/database/scratch.ts";
import { main } from "../../scripts/stack/main.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { StackError } from "../../scripts/stack/ports.ts";
import { printResults } from "./print.ts";
import type { Effort, Result } from "./rounds.ts";
import { isMet } from "./rounds.ts";
import type { Scenario } from "./scenario.ts";
import { administration } from "./scenarios/administration.ts";
import { alerts } from "./scenarios/alerts.ts";
import { batches } from "./scenarios/batches.ts";
import { calls } from "./scenarios/calls.ts";
import { cold } from "./scenarios/cold.ts";
import { dashboard } from "./scenarios/dashboard.ts";
import { floor } from "./scenarios/floor.ts";
import { growth } from "./scenarios/growth.ts";
import { hotTenant } from "./scenarios/hot_tenant.ts";
import { hotUser } from "./scenarios/hot_user.ts";
import { http } from "./scenarios/http.ts";
import { instructions } from "./scenarios/instructions.ts";
import { nearLimit } from "./scenarios/near_limit.ts";
import { observe } from "./scenarios/observe.ts";
import { pool } from "./scenarios/pool.ts";
import { rateLimiter } from "./scenarios/rate_limiter.ts";
import { refusalFlood } from "./scenarios/refusal_flood.ts";
import { refusals } from "./scenarios/refusals.ts";
import { sharedQuota } from "./scenarios/shared_quota.ts";
import { createWorld, warmUp, within } from "./world.ts";

const SCENARIOS: Record<string, Scenario> = {
  calls,
  batches,
  pool,
  floor,
  shared_quota: sharedQuota,
  hot_tenant: hotTenant,
  hot_user: hotUser,
  administration,
  dashboard,
  refusals,
  refusal_flood: refusalFlood,
  near_limit: nearLimit,
  observe,
  alerts,
  rate_limiter: rateLimiter,
  http,
  growth,
};

/** Those that need no database. */
const ALONE: Record<string, (effort: Effort) => Promise<Result[]>> = { cold, instructions };

const FULL: Effort = { rounds: 7, seconds: 2, scale: 1, events: 10_000_000 };
const QUICK: Effort = { rounds: 5, seconds: 0.5, scale: 0.02, events: 200_000 };

await main(async () => {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      events: { type: "string" },
    },
  });
  const known = [...Object.keys(ALONE), ...Object.keys(SCENARIOS)];
  const names = values.only?.split(",") ?? known;
  for (const name of names) {
    if (!known.includes(name)) throw new StackError(`no scenario ${name}: ${known.join(", ")}`);
  }
  const effort = { ...(values.quick ? QUICK : FULL) };
  if (values.events !== undefined) effort.events = Number(values.events);

  const results: Record<string, Result[]> = {};
  let server = "none";
  const run = async (name: string, scenario: Promise<Result[]> | undefined) => {
    process.stderr.write(`${name} …\n`);
    results[name] = (await scenario) ?? [];
    printResults(results[name]);
    // After each: a run that is interrupted leaves what it has.
    await writeResults(values, server, results);
  };
  for (const name of names) if (name in ALONE) await run(name, ALONE[name]?.(effort));
  const others = names.filter((name) => name in SCENARIOS);
  if (others.length > 0) {
    await onScratchServer(async (scratch) => {
      const world = await createWorld(scratch, "world");
      server = await within(world.url, async (sql) => {
        await warmUp(sql, world.callers);
        const [row] = await sql`select current_setting('server_version') as version`;
        return `PostgreSQL ${row?.version}`;
      });
      for (const name of others) await run(name, SCENARIOS[name]?.({ scratch, world, effort }));
    });
  }
  const all = Object.values(results).flat();
  console.log(`\n${all.filter(isMet).length} of ${all.length} targets met`);
});

async function writeResults(
  { quick, only }: { quick: boolean; only?: string | undefined },
  server: string,
  results: Record<string, Result[]>,
) {
  const form = quick ? "quick" : "full";
  // The documentation quotes whole runs: what is measured quickly, or in parts, leaves them alone.
  const file = join(PROJECT, "bench", quick || only !== undefined ? "latest.json" : "results.json");
  await mkdir(dirname(file), { recursive: true });
  const shown = Object.entries(results).map(([name, all]) => [
    name,
    all.map((result) => ({ met: isMet(result), ...result })),
  ]);
  const measured = {
    measured_at: new Date().toISOString(),
    form,
    server,
    processors: availableParallelism(),
    scenarios: Object.fromEntries(shown),
  };
  const fourDigits = (_: string, value: unknown) =>
    typeof value === "number" ? Number(value.toPrecision(4)) : value;
  await writeFile(file, `${JSON.stringify(measured, fourDigits, 2)}\n`);
}
