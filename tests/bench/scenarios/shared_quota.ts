// A quota that everybody shares is split into slots, so that it costs nothing; also where a commit takes long.
import { connect } from "../load.ts";
import { inRounds, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { assertBalanced, copyWorld, reserveAndSettle, type World } from "../world.ts";

const CONNECTIONS = 32;
/** As on a network disk: every commit takes 2 ms more. */
const SLOW_COMMIT = { commit_delay: 2000, commit_siblings: 0 };

export async function sharedQuota(bench: Bench): Promise<Result[]> {
  const shared = await copyWorld(bench.scratch, bench.world, "shared");
  const unshared = await copyWorld(
    bench.scratch,
    bench.world,
    "unshared",
    "delete from spend.cost_quotas where scope = 'platform'",
  );
  const oneSlot = await copyWorld(
    bench.scratch,
    bench.world,
    "one_slot",
    // Smaller numbers of slots drain slowly: a quota that has one from the beginning.
    `with gone as (delete from spend.cost_quotas where scope = 'platform' returning *)
     insert into spend.cost_quotas (scope, resource_type, period, limit_usd, slots)
     select scope, resource_type, period, limit_usd, 1 from gone`,
  );

  const fast = await compare(bench, { shared, unshared });
  const slow = await compare(bench, { shared, unshared, oneSlot }, SLOW_COMMIT);
  for (const world of [shared, unshared, oneSlot]) await assertBalanced(world);
  return [
    {
      name: "with a shared platform quota ÷ without",
      value: ratio(fast.shared, fast.unshared),
      bound: { atLeast: 0.85 },
      figures: fast,
    },
    {
      name: "the same, commit of 2 ms",
      value: ratio(slow.shared, slow.unshared),
      bound: { atLeast: 0.85 },
      figures: { shared: slow.shared, unshared: slow.unshared },
    },
    {
      name: "64 slots ÷ one slot, commit of 2 ms",
      value: ratio(slow.shared, slow.oneSlot),
      bound: { atLeast: 8 },
      figures: { slots64: slow.shared, oneSlot: slow.oneSlot },
    },
  ];
}

async function compare<Name extends string>(
  { effort }: Bench,
  worlds: Record<Name, World>,
  settings = {},
) {
  const names = Object.keys(worlds) as Name[];
  const sides = await Promise.all(
    names.map(async (name) => ({
      connections: await connect(worlds[name].url, CONNECTIONS, settings),
      call: reserveAndSettle(worlds[name].callers),
    })),
  );
  const loads = await inRounds(
    Object.fromEntries(names.map((name, at) => [name, sides[at]])) as Parameters<
      typeof inRounds<Name>
    >[0],
    effort,
  );
  await Promise.all(sides.map(({ connections }) => connections.close()));
  return Object.fromEntries(names.map((name) => [name, rates(loads[name])])) as Record<
    Name,
    ReturnType<typeof rates>
  >;
}
