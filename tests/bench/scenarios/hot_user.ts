// All calls of one user, whose quota is one row: how long they wait for one another, beside bare updates of one row.
import type { ISql } from "postgres";
import { connect } from "../load.ts";
import { inRounds, latencies, type Result, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { assertBalanced, copyWorld, prepared, reserve, settle } from "../world.ts";

const CONNECTIONS = 20;

export async function hotUser({ scratch, world, effort }: Bench): Promise<Result[]> {
  const copy = await copyWorld(
    scratch,
    world,
    "hot_user",
    "create table bench.one_row as select 1 as id, 0::numeric as usd",
  );
  const caller = copy.callers[0];
  if (caller === undefined) throw new Error("nobody calls");
  const connections = await connect(copy.url, CONNECTIONS);
  const open = new Map<number, string>();
  const loads = await inRounds(
    {
      // A reserve, then the settle of it: each is one transaction on the hot row, as a bare update is.
      ours: {
        connections,
        async call(sql: ISql, connection: number) {
          const reservation = open.get(connection);
          if (reservation !== undefined) {
            open.delete(connection);
            return await settle(sql, reservation);
          }
          open.set(connection, (await reserve(sql, caller)).reservation_id);
        },
      },
      bare: {
        connections,
        call: (sql: ISql) =>
          prepared(sql, "update bench.one_row set usd = usd + $1 where id = 1", ["0.00045"]),
      },
    },
    effort,
  );
  await connections.close();
  await assertBalanced(copy);
  const figures = {
    p99: latencies(loads.ours, 0.99),
    p50: latencies(loads.ours, 0.5),
    bareP99: latencies(loads.bare, 0.99),
    bareP50: latencies(loads.bare, 0.5),
  };
  return [
    {
      name: "one hot user, p99 ÷ p50 of a bare update of one row, 20 connections",
      value: ratio(figures.p99, figures.bareP50),
      bound: { atMost: 4 },
      figures,
    },
  ];
}
