// A shared quota that only observes: over its limit it is as fast as below it.
import { connect } from "../load.ts";
import { inRounds, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { assertBalanced, copyWorld, reserveAndSettle, within } from "../world.ts";

const CONNECTIONS = 32;

export async function observe({ scratch, world, effort }: Bench): Promise<Result[]> {
  const below = await copyWorld(
    scratch,
    world,
    "observe_below",
    "update spend.cost_quotas set enforcement = 'observe' where scope = 'platform'",
  );
  const over = await copyWorld(
    scratch,
    world,
    "observe_over",
    `update spend.cost_quotas set enforcement = 'observe', limit_usd = 100
     where scope = 'platform'`,
  );
  await within(over.url, async (sql) => {
    const tenant = over.callers[0]?.tenant ?? null;
    await sql`select spend.adjust(${tenant}, 200, 'Twice what the platform may spend')`;
  });
  const sides = {
    below: {
      connections: await connect(below.url, CONNECTIONS),
      call: reserveAndSettle(below.callers),
    },
    over: {
      connections: await connect(over.url, CONNECTIONS),
      call: reserveAndSettle(over.callers.slice(1)),
    },
  };
  const loads = await inRounds(sides, effort);
  for (const { connections } of Object.values(sides)) await connections.close();
  for (const each of [below, over]) await assertBalanced(each);
  const figures = { over: rates(loads.over), below: rates(loads.below) };
  return [
    {
      name: "a shared quota that observes, over its limit ÷ below it, 32 connections",
      value: ratio(figures.over, figures.below),
      bound: { atLeast: 0.8 },
      figures,
    },
  ];
}
