// A year of calls and of maintenance, with a clock that is a parameter: tables stop growing, reports stay as they
// were booked, and nobody waits.
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { verifyBalances } from "../support/spend.ts";
import { until } from "../support/until.ts";

const DAYS = 365;
const TENANTS = 3;
const CALLS_A_DAY = 4;
const DAYS_BETWEEN_UPKEEP = 7;
const DAY_MS = 24 * 60 * 60 * 1000;

/** The last simulated day is yesterday: the current month is the one that the books are in afterwards. */
const FIRST_DAY = Math.floor(Date.now() / DAY_MS) * DAY_MS - DAYS * DAY_MS;

/** What grows with calls, sandboxes and administration, day after day; a table that is not named must not grow either. */
const GROWING = [
  "spend.alerts",
  "spend.audit_log",
  "spend.cost_events",
  "spend.execution_contexts",
  "spend.problems",
  "spend.refusal_counts",
  "spend.reservations",
  "spend_private.adjustments",
  "spend_private.conversation_rollups",
  "spend_private.cost_rollups",
  "spend_private.quota_balances",
  "spend_private.refusals",
  "spend_private.stray_sandboxes",
];

/** The sums by hour are what reports of dropped months are made of: as many rows as hours in which something was spent. */
const KEPT_FOR_EVER = "spend_private.cost_rollups";

let database: TestDatabase;
let sql: Sql;
let caller: Sql;
let upkeep: Sql;
const tenants: string[] = [];

beforeAll(async () => {
  database = await cloneDatabase({ connections: 4 });
  sql = database.sql;
  const connect = (lockTimeoutMs: number) =>
    postgres(database.url, {
      max: 1,
      onnotice: () => {},
      connection: { lock_timeout: lockTimeoutMs },
    });
  // A call that waits longer than a second fails, and the test with it.
  caller = connect(1000);
  upkeep = connect(3000);
  await sql`
    insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
    values ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01')`;
  const made = await sql`
    insert into spend.tenants (name, created_at)
    select 'Tenant ' || i, ${new Date(FIRST_DAY - DAY_MS)} from generate_series(1, ${TENANTS}) as i returning id`;
  tenants.push(...made.map(({ id }) => id));
  await sql`
    insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, slots, created_at)
    select 'tenant', t, 'llm', p, 4, 2, ${new Date(FIRST_DAY - DAY_MS)}
    from unnest(${tenants}::uuid[]) as t, unnest(array['day', 'hour']) as p`;
  // Every day it is reached, and tells so.
  await sql`
    insert into spend.cost_quotas (scope, resource_type, period, limit_usd, enforcement, slots, created_at)
    values ('platform', 'all', 'day', 0.1, 'observe', 4, ${new Date(FIRST_DAY - DAY_MS)})`;
  await sql`update spend.settings set keep_event_months = 4, keep_audit_days = 100`;
});

afterAll(async () => {
  await caller?.end();
  await upkeep?.end();
  await database?.close();
});

it("In a year of four calls a day and of maintenance, every table is as large after twelve months as after six, no call waits a second, and every month is reported as it was booked", async () => {
  const spent = new Map<string, number>();
  const unfinished = new Set<string>();
  const before = await sizes();
  let half: Record<string, number> = {};
  for (let day = 0; day < DAYS; day++) {
    const start = FIRST_DAY + day * DAY_MS;
    await Promise.all([
      callsOf(day, start, spent),
      // Beside the calls of that day.
      day % DAYS_BETWEEN_UPKEEP === 0
        ? maintain(new Date(start + 12 * 60 * 60 * 1000), unfinished)
        : undefined,
    ]);
    if (day === Math.floor(DAYS / 2)) {
      await catchUp(new Date(start + DAY_MS - 1), unfinished);
      half = await sizes();
    }
  }
  // What the last day left behind.
  await catchUp(new Date(FIRST_DAY + DAYS * DAY_MS - 1), unfinished);
  const full = await sizes();

  for (const [table, rows] of Object.entries(full)) {
    const start = before[table] ?? 0;
    const grownInHalf = (half[table] ?? 0) - start;
    if (GROWING.includes(table)) expect.soft(grownInHalf, `${table} grows`).toBeGreaterThan(0);
    const allowed = table === KEPT_FOR_EVER ? 2.2 * grownInHalf : 1.2 * grownInHalf + 10;
    expect
      .soft(rows - start, `${table}: ${grownInHalf} rows after six months`)
      .toBeLessThanOrEqual(allowed);
  }
  // Ninety days of reservations, not less.
  expect(full["spend.reservations"]).toBeGreaterThan(85 * CALLS_A_DAY);
  expect(full["spend.reservations"]).toBeLessThan(100 * CALLS_A_DAY);
  expect([...unfinished], "jobs that were not done at last").toEqual([]);
  expect(await sql`select job, message from spend.problems where job <> 'by hand'`).toEqual([]);

  expect(await reported()).toEqual(Object.fromEntries([...spent].sort()));
  expect(await verifyBalances(sql)).toEqual([]);
}, 240_000);

/** A day's calls, one after the other; adds what each cost, in millionths of a dollar, by tenant and month. */
async function callsOf(day: number, start: number, spent: Map<string, number>): Promise<void> {
  const book = (tenant: string, at: Date, microUsd: number) => {
    const key = `${tenant} ${at.toISOString().slice(0, 7)}`;
    spent.set(key, (spent.get(key) ?? 0) + microUsd);
  };
  for (let call = 0; call < CALLS_A_DAY; call++) {
    const tenant = tenants[(day + call) % TENANTS] as string;
    const at = new Date(start + (call * 6 * 60 + 1) * 60 * 1000);
    const microUsd = 100_000 + ((day * 7 + call) % 50) * 1000;
    const key = `call-${day}-${call}`;
    const usage = (count: number) => ({
      provider: "test",
      model: "model",
      input_tokens: count,
      output_tokens: 0,
    });
    const [held] = await caller`
      select (r).* from (
        select spend_private.reserve(
          ${tenant}::uuid, null, 'llm', ${caller.json(usage(microUsd))}, 'chat', ${`c-${day}`}, null, ${key}, p_now => ${at}
        ) as r
      ) as t`;
    expect(held?.allowed).toBe(true);
    const end = new Date(at.getTime() + 60_000);
    if (call === 1) {
      await caller`select spend_private.release(${held?.reservation_id}, 'cancelled', ${end})`;
    } else if (call === 2) {
      // Nobody settles it: it expires, at its estimate.
      book(tenant, at, microUsd);
    } else {
      const actual = call === 3 ? microUsd * 2 : microUsd / 2;
      await caller`select spend_private.settle(${held?.reservation_id}, ${caller.json(usage(actual))}, p_now => ${end})`;
      book(tenant, at, actual);
    }
    if (call === 0) {
      // Larger than any limit: refused, with a key of its own.
      const [refused] = await caller`
        select (r).allowed from (
          select spend_private.reserve(
            ${tenant}::uuid, null, 'llm', ${caller.json(usage(900_000_000))}, p_idempotency_key => ${`${key}-refused`}, p_now => ${at}
          ) as r
        ) as t`;
      expect(refused?.allowed).toBe(false);
      await caller`select spend_private.adjust(${tenant}::uuid, -0.01, 'credit', p_idempotency_key => ${key}, p_now => ${at})`;
      book(tenant, at, -10_000);
    }
  }
  await byHand(day, new Date(start));
}

/** What sandboxes and administration leave behind on a day. */
async function byHand(day: number, at: Date): Promise<void> {
  const tenant = tenants[day % TENANTS] as string;
  await sql.begin(async (sql) => {
    await sql`
      insert into spend.execution_contexts (
        tenant_id, conversation_id, task, template, vcpus, memory_gib, timeout_seconds, status, sandbox_id, reservation_id,
        booked_at, claim_id, claimed_at, claim_expires_at, ended_at, created_at
      ) values (
        ${tenant}::uuid, ${`c-${day}`}, 'sandbox', 'base', 1, 1, 300, 'terminated', ${`s-${day}`}, gen_random_uuid(),
        ${at}, gen_random_uuid(), ${at}, ${new Date(at.getTime() + 60_000)}, ${at}, ${at}
      )`;
    await sql`
      insert into spend_private.stray_sandboxes (tenant_id, sandbox_id, paid_until)
      values (${tenant}::uuid, ${`s-${day}`}, ${at})`;
    await sql`
      insert into spend.audit_log (tenant_id, changed_at, table_name, command, role_name)
      values (${tenant}::uuid, ${at}, 'cost_quotas', 'UPDATE', 'postgres')`;
    await sql`select spend_private.record_problem('by hand', ${`day ${day}`}, 'failed', p_now => ${at})`;
    await sql`select spend_private.resolve_problem('by hand', ${`day ${day}`}, ${at})`;
  });
}

/** All jobs as a scheduler does them at `now`, each step committed. */
async function maintain(now: Date, unfinished: Set<string>): Promise<void> {
  const jobs = await upkeep`select job, batch from spend.maintenance_jobs()`;
  for (const { job, batch } of jobs) {
    for (let step = 0; step < 20; step++) {
      const [done] = await upkeep`select spend_private.run_job(${job}, ${now}, ${batch}) as count`;
      // A lock that was not had is no fault, as long as it is had another time.
      if (done?.count === null) unfinished.add(job);
      else unfinished.delete(job);
      if (done?.count === null || batch === null || Number(done?.count) < Number(batch)) break;
    }
  }
}

/** Maintenance until nothing is left: roll-ups wait for every transaction of the server, also those of other tests. */
async function catchUp(now: Date, unfinished: Set<string>): Promise<void> {
  await until(
    "all is rolled up",
    async () => {
      await maintain(now, unfinished);
      const [status] = await sql`select unrolled_events from spend.maintenance_status()`;
      return Number(status?.unrolled_events) === 0;
    },
    60,
  );
  await maintain(now, unfinished);
}

/** Rows of every table, the partitions of the ledger together. */
async function sizes(): Promise<Record<string, number>> {
  const tables = await sql`
    select n.nspname || '.' || c.relname as name
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('spend', 'spend_private') and c.relkind in ('r', 'p') and not c.relispartition
    order by 1`;
  const counted: Record<string, number> = {};
  for (const { name } of tables) {
    const [row] = await sql.unsafe(`select count(*)::integer as rows from ${name}`);
    counted[name] = row?.rows;
  }
  return counted;
}

/** Millionths of a dollar by tenant and month, of the whole year. */
async function reported(): Promise<Record<string, number>> {
  const lines = await sql`
    select tenant_id || ' ' || to_char(day, 'YYYY-MM') as key, (sum(cost_usd) * 1000000)::float8 as micro_usd
    from spend.cost_report('{tenant,day}', from_day => '-infinity')
    group by 1 order by 1`;
  return Object.fromEntries(lines.map(({ key, micro_usd }) => [key, micro_usd]));
}
