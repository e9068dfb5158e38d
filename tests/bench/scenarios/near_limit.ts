// The last one per cent of a shared quota: exact to the call, and not slow.
import type { ISql } from "postgres";
import { type Connections, connect } from "../load.ts";
import { figure, type Result, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import {
  assertBalanced,
  copyWorld,
  ESTIMATE,
  inTurns,
  reserve,
  settle,
  type World,
  within,
} from "../world.ts";

const CONNECTIONS = 32;
/** What ESTIMATE costs, held and settled alike. */
const CALL_USD = 0.00045;

export async function nearLimit({ scratch, world, effort }: Bench): Promise<Result[]> {
  const copy = await copyWorld(scratch, world, "near_limit");
  const connections = await connect(copy.url, CONNECTIONS);
  const calls = Math.round(2000 * effort.scale);
  const last: number[] = [];
  const middle: number[] = [];
  let miscounted = 0;
  for (let round = -1; round < effort.rounds; round++) {
    // The last per cent is `calls` calls, so the whole is a hundred times as many.
    await spendShare(copy, calls * 100, 0.5);
    const atHalf = await callUntilRefused(connections, copy, calls);
    await spendShare(copy, calls * 100, 0.99);
    const toFull = await callUntilRefused(connections, copy, Number.POSITIVE_INFINITY);
    if (round < 0) continue;
    middle.push(atHalf.rate);
    last.push(toFull.rate);
    miscounted += Math.abs(toFull.admitted - calls);
  }
  await connections.close();
  await assertBalanced(copy);
  const figures = {
    from99Percent: figure("calls/s", last),
    at50Percent: figure("calls/s", middle),
  };
  return [
    {
      name: "calls admitted too many or too few while a quota fills up, 32 connections",
      value: miscounted,
      bound: { exactly: 0 },
      figures: {},
    },
    {
      name: "rate from 99 % used to full ÷ rate at 50 %, 32 connections",
      value: ratio(figures.from99Percent, figures.at50Percent),
      bound: { atLeast: 0.3 },
      figures,
    },
  ];
}

/** Makes the platform's quota one of `calls` calls, of which this share is spent. */
async function spendShare({ url, callers }: World, calls: number, share: number): Promise<void> {
  await within(url, async (sql) => {
    await sql`update spend.cost_quotas set limit_usd = 1000000000 where scope = 'platform'`;
    const [status] = await sql`
      select ${calls * share} * ${CALL_USD}::numeric - current_spend_usd as missing_usd
      from spend.quota_status where scope = 'platform'`;
    await sql`
      select spend.adjust(${callers[0]?.tenant ?? null}, ${status?.missing_usd}, 'So much is spent')`;
    await sql`
      update spend.cost_quotas set limit_usd = ${calls} * ${CALL_USD}::numeric
      where scope = 'platform'`;
  });
}

/** Calls until one is refused on every connection, or `atMost` were admitted. */
async function callUntilRefused(
  connections: Connections,
  { callers }: World,
  atMost: number,
): Promise<{ admitted: number; rate: number }> {
  const caller = inTurns(callers);
  let admitted = 0;
  let begun = 0;
  let lastEnd = 0;
  const begin = performance.now();
  const callOn = async (sql: ISql) => {
    while (begun++ < atMost) {
      const answer = await reserve(sql, caller());
      if (!answer.allowed) return;
      // Settled at the estimate: what was held is spent.
      await settle(sql, answer.reservation_id, ESTIMATE);
      admitted++;
      lastEnd = performance.now();
    }
  };
  await Promise.all(connections.all.map(callOn));
  return { admitted, rate: (admitted * 1000) / (lastEnd - begin) };
}
