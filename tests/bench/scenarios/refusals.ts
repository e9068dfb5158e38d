// A tenant whose quota is used up: it is refused fast, and others do not feel it.
import type { ISql } from "postgres";
import { connect, drivePaced, quantile } from "../load.ts";
import { figure, inRounds, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import {
  assertBalanced,
  type Caller,
  copyWorld,
  exhaust,
  inTurns,
  refuse,
  reserve,
  reserveAndSettle,
} from "../world.ts";

const CONNECTIONS = 32;
/** Far below what the machine carries: what is felt is the refusals' locks, not their use of the processors. */
const OTHERS_PER_SECOND = 60;
const REFUSALS_PER_SECOND = 60;

export async function refusals(bench: Bench): Promise<Result[]> {
  const { scratch, world, effort } = bench;
  const copy = await copyWorld(scratch, world, "refusals");
  const [exhausted, ...others] = copy.callers as [Caller, ...Caller[]];
  await exhaust(copy, exhausted);
  // As the API sends them: the commit of a refusal does not wait for the disk.
  const connections = await connect(copy.url, CONNECTIONS, { "request.path": "/rpc/reserve" });
  const admitted = inTurns(others);
  const loads = await inRounds(
    {
      refused: { connections, call: refuse(exhausted) },
      admitted: { connections, call: (sql: ISql) => reserve(sql, admitted()) },
    },
    effort,
  );
  const refused = rates(loads.refused);
  const reserves = rates(loads.admitted);

  const beside: Record<"alone" | "besideRefusals", number[]> = { alone: [], besideRefusals: [] };
  const others8 = { ...connections, all: connections.all.slice(0, 8) };
  const refusals8 = { ...connections, all: connections.all.slice(8, 16) };
  const seconds = effort.seconds * 2;
  for (let round = 0; round < effort.rounds * 2; round++) {
    const measure = () => drivePaced(others8, seconds, OTHERS_PER_SECOND, reserveAndSettle(others));
    if (round % 2 === 0) {
      beside.alone.push(quantile((await measure()).latencies, 0.5));
    } else {
      const [load] = await Promise.all([
        measure(),
        drivePaced(refusals8, seconds, REFUSALS_PER_SECOND, refuse(exhausted)),
      ]);
      beside.besideRefusals.push(quantile(load.latencies, 0.5));
    }
  }
  await connections.close();
  await assertBalanced(copy);
  const slowed = {
    besideRefusals: figure("ms", beside.besideRefusals),
    alone: figure("ms", beside.alone),
  };
  return [
    {
      name: "refusals ÷ reserves that are admitted, 32 connections",
      value: ratio(refused, reserves),
      bound: { atLeast: 3 },
      figures: { refused, reserves },
    },
    {
      name: "p50 of others beside a refusal for each of their calls ÷ alone",
      value: ratio(slowed.besideRefusals, slowed.alone),
      bound: { atMost: 1.05 },
      figures: slowed,
    },
  ];
}
