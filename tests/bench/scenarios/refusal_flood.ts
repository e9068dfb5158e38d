// A client that tries again and again on a used-up quota: others feel the flood, and its trace not on top of that.
import type { ISql } from "postgres";
import { connect, drive, drivePaced, quantile } from "../load.ts";
import { figure, type Result, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import {
  assertBalanced,
  type Caller,
  copyWorld,
  reserve,
  reserveAndSettle,
  type World,
  within,
} from "../world.ts";

const CONNECTIONS = 32;
/** Of the calls of others, far below what the machine carries. */
const OTHERS_PER_SECOND = 60;
/** The same on both sides, so that neither floods harder because its refusals are cheaper. */
const REFUSALS_PER_SECOND = 400;
const WITHOUT_TRACE = `
  create or replace function spend_private.count_refusal(
    p_tenant_id uuid, p_user_id uuid, p_answer spend.reserve_result, p_now timestamptz
  ) returns void language plpgsql volatile set search_path = pg_catalog, pg_temp as 'begin end'`;

export async function refusalFlood({ scratch, world, effort }: Bench): Promise<Result[]> {
  const sides = {
    traced: await open(await copyWorld(scratch, world, "flood_traced")),
    untraced: await open(await copyWorld(scratch, world, "flood_untraced", WITHOUT_TRACE)),
  };
  const names = ["traced", "untraced"] as const;
  const seconds = effort.seconds * 2;
  const p50: Record<(typeof names)[number], number[]> = { traced: [], untraced: [] };
  // Round -1 fills the caches and is not counted.
  for (let round = -1; round < effort.rounds * 2; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const { others, flood, call, refuse } = sides[name];
      const [load] = await Promise.all([
        drivePaced(others, seconds, OTHERS_PER_SECOND, call),
        drivePaced(flood, seconds, REFUSALS_PER_SECOND, refuse),
      ]);
      if (round >= 0) p50[name].push(quantile(load.latencies, 0.5));
    }
  }
  // As fast as they can, for what becomes of the trace.
  await drive(sides.traced.flood, seconds, sides.traced.refuse);
  for (const { others, flood, world: copy } of Object.values(sides)) {
    await others.close();
    await flood.close();
    await assertBalanced(copy);
  }
  const { refusals, rows } = await traceOf(sides.traced.world);
  const figures = { traced: figure("ms", p50.traced), untraced: figure("ms", p50.untraced) };
  return [
    {
      name: "p50 of others beside 400 refusals/s of 32 connections, counted ÷ not counted",
      value: ratio(figures.traced, figures.untraced),
      bound: { atMost: 1.05 },
      figures,
    },
    {
      name: "refusals that the trace does not tell, of a flood of 32 connections",
      value: sides.traced.sent() - refusals,
      bound: { exactly: 0 },
      figures: {},
    },
    {
      name: "rows of the trace for each hour and reason, after a flood of 32 connections",
      value: rows,
      bound: { atMost: CONNECTIONS },
      figures: {},
    },
  ];
}

/** Its first tenant has spent all that it may. */
async function open(world: World) {
  const [exhausted, ...rest] = world.callers as [Caller, ...Caller[]];
  await within(world.url, async (sql) => {
    await sql`select spend.adjust(${exhausted.tenant}, 100, 'All that this tenant may spend')`;
    await sql`update spend.cost_quotas set limit_usd = 100 where id = ${exhausted.tenantQuota}`;
  });
  let sent = 0;
  return {
    world,
    others: await connect(world.url, 8),
    // As the API sends them: the commit of a refusal does not wait for the disk.
    flood: await connect(world.url, CONNECTIONS, { "request.path": "/rpc/reserve" }),
    call: reserveAndSettle(rest),
    refuse: async (sql: ISql) => {
      sent++;
      if ((await reserve(sql, exhausted)).allowed) throw new Error("an exhausted quota admits");
    },
    sent: () => sent,
  };
}

/** How many refusals are counted, and the most rows that one count is in. */
async function traceOf({ url }: World) {
  const [trace] = await within(
    url,
    (sql) => sql<{ refusals: number; rows: number }[]>`
      select sum(c.refusals)::int as refusals, max(c.rows)::int as rows
      from (
        select sum(r.refusals) as refusals, count(*) as rows
        from spend.refusal_counts as r
        group by r.tenant_id, r.hour, r.quota_id, r.user_id, r.reason
      ) as c`,
  );
  if (trace === undefined) throw new Error("a count of refusals answered nothing");
  return trace;
}
