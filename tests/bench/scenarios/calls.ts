// A call beside a call of 0.1.0, whose SQL, frozen, runs as a database of its own on the same server. The floors are on its tables
// too: a floor that moved with the tables would hide what they gain.
import { migrationsOf } from "../../../scripts/database/release.ts";
import { floorFunctions, floorStatements } from "../floor.ts";
import { type Call, connect, type Load } from "../load.ts";
import { inRounds, latencies, processorTimes, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import {
  assertBalanced,
  type Caller,
  copyWorld,
  createWorld,
  ESTIMATE,
  exhaust,
  prepared,
  refuse,
  reserveAndSettle,
  USAGE,
  type World,
  warmUp,
  within,
} from "../world.ts";

const BASELINE = "0.1.0";

export async function calls(bench: Bench): Promise<Result[]> {
  const baseline = await createWorld(bench.scratch, "baseline", {
    migrations: await migrationsOf(BASELINE),
  });
  await within(baseline.url, (sql) => warmUp(sql, baseline.callers));
  return [
    ...(await processorTime(bench, baseline)),
    ...(await throughput(bench, baseline)),
    ...(await refusals(bench)),
    ...(await hotUser(bench, baseline)),
  ];
}

interface Side {
  world: World;
  call: Call;
  /** The floor keeps the balances, and no more of the books. */
  isFloor?: boolean;
}

interface Form {
  connections: number;
  settings?: Record<string, string>;
}

/** Drives each side on its world over connections of its own, in turns; then the books must be right. */
async function compare<Name extends string>(
  sides: Record<Name, Side>,
  { connections, settings = {} }: Form,
  { effort }: Bench,
): Promise<Record<Name, Load[]>> {
  const opened = await Promise.all(
    Object.entries<Side>(sides).map(async ([name, { world, call }]) => ({
      name,
      side: { connections: await connect(world.url, connections, settings), call },
    })),
  );
  const loads = await inRounds<Name>(
    Object.fromEntries(opened.map(({ name, side }) => [name, side])) as never,
    effort,
  );
  await Promise.all(opened.map(({ side }) => side.connections.close()));
  for (const { world, isFloor = false } of Object.values<Side>(sides)) {
    await assertBalanced(world, { balancesAlone: isFloor });
  }
  return loads;
}

/** The same callers, quotas and prices on the SQL of both versions. */
async function copies({ scratch, world }: Bench, baseline: World, name: string) {
  return {
    ours: await copyWorld(scratch, world, name),
    baseline: await copyWorld(scratch, baseline, `${name}_of_baseline`),
  };
}

/** In one statement of a loop in SQL. */
const CALLS_IN_SQL = 50;

/**
 * What a call takes of the processors, in the server's process: steady where elapsed time is not. Commits do not wait for
 * the disk: the kernel's part of a flush is the same for both versions, and the noisiest.
 */
async function processorTime(bench: Bench, baselineWorld: World): Promise<Result[]> {
  const { ours, baseline } = await copies(bench, baselineWorld, "processor");
  const results: Result[] = [];
  for (const { loop, call, count } of [
    { loop: "a client's loop", call: reserveAndSettle, count: 1 },
    { loop: "a loop in SQL", call: reserveAndSettleInSql, count: CALLS_IN_SQL },
  ]) {
    const loads = await compare(
      {
        ours: { world: ours, call: call(ours.callers) },
        baseline: { world: baseline, call: call(baseline.callers) },
      },
      { connections: 1, settings: { synchronous_commit: "off" } },
      bench,
    );
    const figures = {
      ours: processorTimes(loads.ours, count),
      baseline: processorTimes(loads.baseline, count),
    };
    results.push({
      name: `processor time of reserve + settle ÷ ${BASELINE}, ${loop}`,
      value: ratio(figures.ours, figures.baseline),
      bound: { atMost: 0.65 },
      figures,
    });
  }
  return results;
}

/** CALLS_IN_SQL whole calls, with no client between them. */
function reserveAndSettleInSql(callers: Caller[]): Call {
  const tenants = callers.map(({ tenant }) => tenant);
  const users = callers.map(({ user }) => user);
  let first = 0;
  return async (sql) => {
    await prepared(sql, "call bench.reserve_and_settle($1, $2, $3, $4, $5, $6)", [
      ...[tenants, users, first, CALLS_IN_SQL],
      ...[ESTIMATE, USAGE],
    ]);
    first += CALLS_IN_SQL;
  };
}

/** Pairs per second beside 0.1.0, and beside the floors on its tables. */
async function throughput(bench: Bench, baselineWorld: World): Promise<Result[]> {
  const { ours, baseline } = await copies(bench, baselineWorld, "throughput");
  const floor = await copyWorld(bench.scratch, baselineWorld, "floor_of_baseline");
  const results: Result[] = [];
  for (const { connections, ofBaseline, ofFloor } of [
    { connections: 1, ofBaseline: 1.35, ofFloor: 0.77 },
    { connections: 8, ofBaseline: 1.6, ofFloor: 0.7 },
    { connections: 32, ofBaseline: 1.6, ofFloor: 0.7 },
  ]) {
    const loads = await compare(
      {
        ours: { world: ours, call: reserveAndSettle(ours.callers) },
        baseline: { world: baseline, call: reserveAndSettle(baseline.callers) },
        statements: { world: floor, call: await floorStatements(floor), isFloor: true },
        functions: { world: floor, call: await floorFunctions(floor), isFloor: true },
      },
      { connections },
      bench,
    );
    const over = `${connections} connection${connections > 1 ? "s" : ""}`;
    const pairs = rates(loads.ours);
    const beside = (what: string, load: Load[], atLeast: number): Result => {
      const figures = { ours: pairs, other: rates(load) };
      return {
        name: `reserve + settle ÷ ${what}, ${over}`,
        value: ratio(figures.ours, figures.other),
        bound: { atLeast },
        figures: { ...figures, oursProcessor: processorTimes(loads.ours) },
      };
    };
    results.push(
      beside(BASELINE, loads.baseline, ofBaseline),
      beside(`floor in prepared statements on ${BASELINE}`, loads.statements, ofFloor),
      beside(`floor in two functions on ${BASELINE}`, loads.functions, ofFloor),
    );
  }
  return results;
}

async function refusals(bench: Bench): Promise<Result[]> {
  const world = await copyWorld(bench.scratch, bench.world, "refused_calls");
  const [exhausted, ...others] = world.callers as [Caller, ...Caller[]];
  await exhaust(world, exhausted);
  const loads = await compare(
    {
      refused: { world, call: refuse(exhausted) },
      whole: { world, call: reserveAndSettle(others) },
    },
    // As the API sends them: the commit of a refusal does not wait for the disk.
    { connections: 32, settings: { "request.path": "/rpc/reserve" } },
    bench,
  );
  const figures = { refused: rates(loads.refused), calls: rates(loads.whole) };
  return [
    {
      name: "refusals ÷ admitted calls (reserve + settle), 32 connections",
      value: ratio(figures.refused, figures.calls),
      bound: { atLeast: 3 },
      figures,
    },
  ];
}

/** All calls by one user, whose quota is one row. */
async function hotUser(bench: Bench, baselineWorld: World): Promise<Result[]> {
  const { ours, baseline } = await copies(bench, baselineWorld, "hot_caller");
  const call = ({ callers }: World) => reserveAndSettle(callers.slice(0, 1));
  const loads = await compare(
    {
      ours: { world: ours, call: call(ours) },
      baseline: { world: baseline, call: call(baseline) },
    },
    { connections: 20 },
    bench,
  );
  const times = { p99: latencies(loads.ours, 0.99), p50: latencies(loads.ours, 0.5) };
  const pairs = { ours: rates(loads.ours), baseline: rates(loads.baseline) };
  return [
    {
      name: "one hot user, p99 ÷ p50, 20 connections",
      value: ratio(times.p99, times.p50),
      bound: { atMost: 1.8 },
      figures: {
        ...times,
        baselineP99: latencies(loads.baseline, 0.99),
        baselineP50: latencies(loads.baseline, 0.5),
      },
    },
    {
      name: `one hot user, reserve + settle ÷ ${BASELINE}, 20 connections`,
      value: ratio(pairs.ours, pairs.baseline),
      bound: { atLeast: 1.4 },
      figures: pairs,
    },
  ];
}
