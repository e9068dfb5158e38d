// npm run bench:ledger [events]: with a ledger of ten million events, what reports read, and what a reserve costs
// beside one on an empty ledger. About 20 minutes, 10 GB. With EMPTY_URL and FULL_URL it takes two databases that
// are there already (made by generate.sql; the empty one with spend.bench_events = 0).
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres, { type ISql, type Sql } from "postgres";
import { main, migrationFiles, onScratchServer } from "../../../scripts/scratch.ts";
import { StackError } from "../../../scripts/stack/ports.ts";

const GENERATE = join(import.meta.dirname, "generate.sql");
const TENANT = "00000000-0000-4000-8000-000000000001";
const CALLS = Number(process.env.CALLS ?? 3000);
/** What a reserve may cost on the full ledger, of what it costs on the empty one. */
const MAX_RATIO = 1.15;

const REPORTS = {
  "quota_status of a tenant": `select * from spend.quota_status where tenant_id = '${TENANT}'`,
  "30 days of a tenant by day": `select * from spend.cost_report(tenant_id => '${TENANT}')`,
  "30 days of a tenant by user": `select * from spend.cost_report('{user}', tenant_id => '${TENANT}')`,
  "30 days of a tenant, ten dearest conversations": `select * from spend.cost_report('{conversation}', tenant_id => '${TENANT}', top => 10)`,
  "a year of a tenant by product": `select * from spend.cost_report('{product}', now()::date - 365, tenant_id => '${TENANT}')`,
  "unusual days of a tenant": `select * from spend.unusual_spend('${TENANT}')`,
  "spend_by_day of a tenant": `select * from spend.spend_by_day where tenant_id = '${TENANT}'`,
  "30 days of all tenants, ten dearest": `select * from spend.cost_report('{tenant}', top => 10)`,
};

await main(async () => {
  const { EMPTY_URL, FULL_URL } = process.env;
  if (EMPTY_URL && FULL_URL) return await compare(EMPTY_URL, FULL_URL);
  await onScratchServer(async (scratch) => {
    const emptyUrl = await scratch.create("empty", await migrationFiles());
    const fullUrl = await scratch.clone("empty", "full");
    await generate(emptyUrl, 0);
    await generate(fullUrl, Number(process.argv[2] ?? 10_000_000));
    await compare(emptyUrl, fullUrl);
  });
});

async function generate(url: string, events: number): Promise<void> {
  const sql = connect(url);
  const begin = performance.now();
  await sql`select set_config('spend.bench_events', ${String(events)}, false)`;
  await sql.unsafe(await readFile(GENERATE, "utf8"));
  await sql.end();
  console.log(`generated ${events} events in ${seconds(begin)} s`);
}

async function compare(emptyUrl: string, fullUrl: string): Promise<void> {
  const empty = connect(emptyUrl);
  const full = connect(fullUrl);
  try {
    await rollUp(full);
    const didReadLedger = await timeReports(full);
    const ratio = await timeReserves(empty, full);
    if (didReadLedger) throw new StackError("a report reads the ledger");
    if (ratio > MAX_RATIO) throw new StackError(`ratio ${ratio.toFixed(2)} > ${MAX_RATIO}`);
  } finally {
    await Promise.all([empty.end(), full.end()]);
  }
}

async function rollUp(sql: Sql): Promise<void> {
  const begin = performance.now();
  let events = 0;
  for (;;) {
    const [row] = await sql`select spend_private.roll_up()::int as events`;
    if (row?.events === 0) break;
    events += row?.events;
  }
  await sql`vacuum analyze`;
  const [size] = await sql`
    select (select count(*)::int from spend.cost_events) as events,
      (select count(*)::int from spend_private.cost_rollups) as rollups,
      (select count(*)::int from spend_private.conversation_rollups) as conversations`;
  console.log(`rolled up ${events} events in ${seconds(begin)} s`);
  console.log(
    `${size?.events} events, ${size?.rollups} roll-ups, ${size?.conversations} by conversation`,
  );
}

/** Prints each report's time and the rows that it reads; answers whether one reads rows of the ledger. */
async function timeReports(sql: Sql): Promise<boolean> {
  let didReadLedger = false;
  for (const [name, query] of Object.entries(REPORTS)) {
    await sql.unsafe(query); // once, so that caches and catalogues are warm
    await sql.begin(async (transaction) => {
      const before = await rowsRead(transaction);
      const begin = performance.now();
      await transaction.unsafe(query);
      const ms = (performance.now() - begin).toFixed(1);
      const after = await rowsRead(transaction);
      const ledger = after.ledger - before.ledger;
      const rollups = after.rollups - before.rollups;
      didReadLedger ||= ledger > 0;
      console.log(`${name}: ${ms} ms, ${ledger} rows of the ledger, ${rollups} of the roll-ups`);
    });
  }
  return didReadLedger;
}

/** Rows that this session read so far, of the ledger and of its roll-ups. */
async function rowsRead(sql: ISql): Promise<{ ledger: number; rollups: number }> {
  const [read] = await sql`
    select
      coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) filter (where relname like 'cost_events%'), 0)::int as ledger,
      coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) filter (where relname like '%_rollups'), 0)::int as rollups
    from pg_stat_xact_all_tables`;
  return { ledger: read?.ledger, rollups: read?.rollups };
}

/** Prints medians of reserve and settle, call by call in turns, so that both see the same machine. */
async function timeReserves(empty: Sql, full: Sql): Promise<number> {
  const times = { empty: [] as number[], full: [] as number[] };
  const settles = { empty: [] as number[], full: [] as number[] };
  for (let call = 0; call < CALLS; call++) {
    // The first of a pair comes to a machine that was busy with something else: it is each's turn.
    const pair = [
      ["empty", empty],
      ["full", full],
    ] as const;
    for (const [name, sql] of call % 2 === 0 ? pair : pair.toReversed()) {
      const tenant = TENANT.slice(0, -3) + String(1 + (call % 900)).padStart(3, "0");
      let begin = performance.now();
      const [answer] = await sql`
        select allowed, reservation_id from spend.reserve(${tenant}, null, 'llm',
          '{"provider": "bench", "model": "model-1", "input_tokens": 10, "output_tokens": 10}')`;
      times[name].push(performance.now() - begin);
      begin = performance.now();
      await sql`
        select status from spend.settle(${answer?.reservation_id},
          '{"provider": "bench", "model": "model-1", "input_tokens": 10, "output_tokens": 10}')`;
      settles[name].push(performance.now() - begin);
    }
  }
  const ratio = median(times.full) / median(times.empty);
  const settleRatio = median(settles.full) / median(settles.empty);
  const report = (what: string, { empty, full }: typeof times, ratio: number) =>
    console.log(
      `${what}, median of ${CALLS}: ${median(empty).toFixed(3)} ms empty, ${median(full).toFixed(3)} ms full, ratio ${ratio.toFixed(3)}`,
    );
  report("reserve", times, ratio);
  report("settle", settles, settleRatio);
  return ratio;
}

function connect(url: string): Sql {
  return postgres(url, { max: 1, onnotice: () => {} });
}

function median(values: number[]): number {
  // The first calls plan and open the periods' balances.
  const sorted = values.slice(values.length / 3).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function seconds(begin: number): string {
  return ((performance.now() - begin) / 1000).toFixed(1);
}
