// 32 callers over few connections to the server, by the transaction, beside a connection each: what warm connections are worth.

import { isInstalled } from "../installed.ts";
import { connect, connectPooled, type Load } from "../load.ts";
import { startPooler } from "../pooler.ts";
import {
  inRounds,
  latencies,
  processorTimes,
  type Result,
  rates,
  ratio,
  type Side,
} from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { assertBalanced, copyWorld, reserveAndSettle } from "../world.ts";

const CALLERS = 32;

export async function pool(bench: Bench): Promise<Result[]> {
  return [...(await poolOfClient(bench)), ...(await poolOfServer(bench))];
}

/** The pool is in the client. */
async function poolOfClient({ scratch, world, effort }: Bench): Promise<Result[]> {
  const copy = await copyWorld(scratch, world, "pool");
  const call = reserveAndSettle(copy.callers);
  const sides = {
    four: { connections: await connectPooled(copy.url, CALLERS, 4), call },
    eight: { connections: await connectPooled(copy.url, CALLERS, 8), call },
    each: { connections: await connectPooled(copy.url, CALLERS, CALLERS), call },
  };
  const loads = await inRounds(sides, effort);
  for (const { connections } of Object.values(sides)) await connections.close();
  await assertBalanced(copy);
  return (["four", "eight"] as const).map((name) => ({
    name: `${CALLERS} callers over ${name} connections ÷ over one each`,
    value: ratio(rates(loads[name]), rates(loads.each)),
    bound: { atLeast: 1 },
    figures: besideEach(loads[name], loads.each),
  }));
}

/**
 * The pool is PgBouncer's, which itself takes of the processors. It keeps no prepared statements in this mode (before 1.21), so the
 * other side prepares none either.
 */
async function poolOfServer({ scratch, world, effort }: Bench): Promise<Result[]> {
  if (!(await isInstalled("pgbouncer"))) {
    process.stderr.write("no pooler is measured: there is no pgbouncer\n");
    return [];
  }
  const copy = await copyWorld(scratch, world, "pooler");
  const call = reserveAndSettle(copy.callers);
  const pooler = await startPooler(copy.url, 4);
  try {
    const unprepared = { prepare: false };
    const sides: Record<"pooler" | "each", Side> = {
      pooler: { connections: await connect(pooler.url, CALLERS, {}, unprepared), call },
      each: { connections: await connect(copy.url, CALLERS, {}, unprepared), call },
    };
    const loads = await inRounds(sides, effort);
    for (const { connections } of Object.values(sides)) await connections.close();
    return [
      {
        name: `${CALLERS} callers through PgBouncer, four connections ÷ over one each`,
        value: ratio(rates(loads.pooler), rates(loads.each)),
        bound: { atLeast: 1 },
        figures: besideEach(loads.pooler, loads.each),
      },
    ];
  } finally {
    await pooler.stop();
    await assertBalanced(copy);
  }
}

function besideEach(pooled: Load[], each: Load[]): Result["figures"] {
  return {
    pooled: rates(pooled),
    each: rates(each),
    pooledP50: latencies(pooled, 0.5),
    eachP50: latencies(each, 0.5),
    pooledProcessor: processorTimes(pooled),
    eachProcessor: processorTimes(each),
  };
}
