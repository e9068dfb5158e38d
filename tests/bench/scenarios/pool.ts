// 32 callers over few connections to the server, by the transaction, beside a connection each: what warm connections are worth.
import { connectPooled } from "../load.ts";
import { inRounds, latencies, processorTimes, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { assertBalanced, copyWorld, reserveAndSettle } from "../world.ts";

const CALLERS = 32;

export async function pool({ scratch, world, effort }: Bench): Promise<Result[]> {
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
  const each = rates(loads.each);
  return (["four", "eight"] as const).map((name) => ({
    name: `${CALLERS} callers over ${name} connections ÷ over one each`,
    value: ratio(rates(loads[name]), each),
    bound: { atLeast: 1 },
    figures: {
      pooled: rates(loads[name]),
      each,
      pooledP50: latencies(loads[name], 0.5),
      eachP50: latencies(loads.each, 0.5),
      pooledProcessor: processorTimes(loads[name]),
      eachProcessor: processorTimes(loads.each),
    },
  }));
}
