// What a Node team would write instead: rate-limiter-flexible, which counts points in three rows per call and neither
// prices, nor holds, nor books. Its own statements, prepared, over the same client on the same server.
import type postgres from "postgres";
import type { ISql, ReservedSql } from "postgres";
import { RateLimiterPostgres } from "rate-limiter-flexible";
import { connect } from "../load.ts";
import { inRounds, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { copyWorld, inTurns, prepared, reserveAndSettle, within } from "../world.ts";

const CONNECTIONS = 32;

export async function rateLimiter({ scratch, world, effort }: Bench): Promise<Result[]> {
  const copy = await copyWorld(scratch, world, "rate_limiter");
  await within(copy.url, async (sql) => void (await limiterOver(sql)));
  const connections = await connect(copy.url, CONNECTIONS);
  const limiters = await Promise.all(
    connections.all.map((sql) => limiterOver(sql, { tableCreated: true })),
  );
  const caller = inTurns(copy.callers);
  const loads = await inRounds(
    {
      ours: { connections, call: reserveAndSettle(copy.callers) },
      theirs: {
        connections,
        async call(_: ISql, connection: number) {
          const { user, tenant } = caller();
          const limiter = limiters[connection];
          for (const key of [user, tenant, "platform"]) await limiter?.consume(key, 45);
        },
      },
    },
    effort,
  );
  await connections.close();
  const figures = { ours: rates(loads.ours), rateLimiterFlexible: rates(loads.theirs) };
  return [
    {
      name: "reserve + settle ÷ three keys of rate-limiter-flexible, 32 connections",
      value: ratio(figures.ours, figures.rateLimiterFlexible),
      bound: { atLeast: 1 },
      figures,
    },
  ];
}

/** A limiter on one connection. It speaks to node-postgres: what it asks is handed on. */
function limiterOver(sql: ISql | postgres.Sql | ReservedSql, { tableCreated = false } = {}) {
  const storeClient = {
    async query({ text, values = [] }: { text: string; values?: unknown[] }) {
      const rows = await (tableCreated ? prepared(sql, text, values) : sql.unsafe(text));
      return { rows: [...rows], rowCount: rows.count };
    },
  };
  return new Promise<RateLimiterPostgres>((resolve, reject) => {
    const limiter: RateLimiterPostgres = new RateLimiterPostgres(
      {
        storeClient,
        storeType: "client",
        tableName: "rate_limits",
        tableCreated,
        points: 1_000_000_000,
        duration: 86_400,
        keyPrefix: "limit",
        clearExpiredByTimeout: false,
      },
      (error) => (error ? reject(error) : queueMicrotask(() => resolve(limiter))),
    );
  });
}
