// A ledger of ten million events, and a million prices that once were in force: calls are as fast as on an empty one, and reports do not read it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Sql } from "postgres";
import { connect, drive, median } from "../load.ts";
import { figure, inRounds, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import {
  assertBalanced,
  copyWorld,
  createWorld,
  reserveAndSettle,
  warmUp,
  within,
} from "../world.ts";

const FULL = { events: 10_000_000, reservations: 1_000_000, tenants: 100_000, prices: 1_000_000 };
const CONNECTIONS = 8;
const CALLERS = 1000;
/** Calls of an hour, at five a second: enough that every balance has been written many times. */
const CALLS_OF_AN_HOUR = 18_000;

const REPORTS = [
  "select * from spend.quota_status where tenant_id = bench.tenant_id(1)",
  "select * from spend.cost_report(tenant_id => bench.tenant_id(1))",
  "select * from spend.cost_report('{user}', tenant_id => bench.tenant_id(1))",
  "select * from spend.cost_report('{conversation}', tenant_id => bench.tenant_id(1), top => 10)",
  "select * from spend.cost_report('{product}', now()::date - 365, tenant_id => bench.tenant_id(1))",
  "select * from spend.unusual_spend(bench.tenant_id(1))",
  "select * from spend.spend_by_day where tenant_id = bench.tenant_id(1)",
  "select * from spend.cost_report('{tenant}', top => 10)",
];

export async function growth({ scratch, world, effort }: Bench): Promise<Result[]> {
  const empty = await copyWorld(scratch, world, "empty_ledger");
  const share = effort.events / FULL.events;
  const tenants = Math.round(FULL.tenants * share);
  const prices = Math.round(FULL.prices * share);
  const full = await createWorld(scratch, "full_ledger", { tenants });
  const reports = await within(full.url, async (sql) => {
    await sql.unsafe(await readFile(join(import.meta.dirname, "../generate.sql"), "utf8"));
    await sql`select bench.generate_prices(${prices})`;
    await sql`select bench.generate(
      ${effort.events}, ${Math.round(FULL.reservations * share)})`;
    await rollUp(sql);
    await sql`vacuum analyze`;
    return await readReports(sql);
  });

  // As many callers on both sides, so that their balances are open on both.
  const step = Math.max(1, Math.floor(full.callers.length / CALLERS));
  const callers = full.callers.filter((_, at) => at % step === 0).slice(0, CALLERS);
  await within(full.url, (sql) => warmUp(sql, callers));
  const sides = {
    full: {
      connections: await connect(full.url, CONNECTIONS),
      call: reserveAndSettle(callers),
    },
    empty: {
      connections: await connect(empty.url, CONNECTIONS),
      call: reserveAndSettle(empty.callers),
    },
  };
  const loads = await inRounds(sides, effort);
  let calls = CALLS_OF_AN_HOUR * Math.min(1, share);
  while (calls > 0) calls -= (await drive(sides.empty.connections, 1, sides.empty.call)).rate;
  await Promise.all([sides.full.connections.close(), sides.empty.connections.close()]);
  const size = await within(empty.url, balanceSize);
  await assertBalanced(empty);

  const figures = { full: rates(loads.full), empty: rates(loads.empty) };
  return [
    {
      name: `${millions(effort.events)} events, ${tenants} tenants, ${millions(prices)} prices ÷ empty, 8 connections`,
      value: ratio(figures.full, figures.empty),
      bound: { atLeast: 0.95 },
      figures,
    },
    {
      name: "size of the balances ÷ their live rows, after an hour of calls",
      value: size.table / size.rows,
      bound: { atMost: 4 },
      figures: { table: figure("bytes", [size.table]), liveRows: figure("bytes", [size.rows]) },
    },
    {
      name: "rows of the rolled-up ledger that reports read",
      value: reports.ledgerRows,
      bound: { exactly: 0 },
      figures: { slowestReport: figure("ms", reports.milliseconds) },
    },
  ];
}

async function rollUp(sql: Sql): Promise<void> {
  for (let events = 1; events > 0; ) {
    const [row] = await sql`select spend_private.roll_up()::int as events`;
    events = row?.events;
  }
}

/** Bytes of the balances' table, and of what lives in it. */
async function balanceSize(sql: Sql): Promise<{ table: number; rows: number }> {
  const [size] = await sql`
    select
      pg_relation_size('spend_private.quota_balances')::float8 as table,
      -- 24 bytes of row header are in pg_column_size; 4 more point to the row in its page.
      (select sum(pg_column_size(b.*) + 4)::float8 from spend_private.quota_balances as b) as rows`;
  return { table: size?.table, rows: size?.rows };
}

/** The slowest report's times, and how many rows of the ledger all of them read. */
async function readReports(sql: Sql): Promise<{ milliseconds: number[]; ledgerRows: number }> {
  let slowest: number[] = [];
  let ledgerRows = 0;
  for (const report of REPORTS) {
    const milliseconds: number[] = [];
    for (let round = 0; round < 5; round++) {
      const begin = performance.now();
      await sql.unsafe(report);
      milliseconds.push(performance.now() - begin);
    }
    if (!(median(milliseconds) < median(slowest))) slowest = milliseconds;
    ledgerRows += await sql.begin(async (transaction) => {
      const before = await ledgerRowsRead(transaction);
      await transaction.unsafe(report);
      return (await ledgerRowsRead(transaction)) - before;
    });
  }
  return { milliseconds: slowest, ledgerRows };
}

/** Rows of the ledger that this transaction read so far. */
async function ledgerRowsRead(sql: Pick<Sql, "unsafe">): Promise<number> {
  const [read] = await sql.unsafe<{ rows: number }[]>(`
    select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::int as rows
    from pg_stat_xact_all_tables where relname like 'cost_events%'`);
  return read?.rows ?? Number.NaN;
}

function millions(count: number): string {
  return `${count / 1_000_000} million`;
}
