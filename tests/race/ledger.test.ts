// The ledger under concurrency: roll-ups lose and double nothing, maintenance may run at any time.
import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import {
  addTenant,
  addTestModel,
  maintain,
  reserve,
  usageOf,
  verifyBalances,
} from "../support/spend.ts";
import { until } from "../support/until.ts";
import { atOnce, interleave, untilLockWaits } from "./sessions.ts";

let database: TestDatabase;
let tenantId: string;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 20 });
  await addTestModel(database.sql);
});
afterAll(() => database.close());
beforeEach(async () => {
  tenantId = await addTenant(database.sql, 1_000_000, 8);
});

const adjust = (sql: Sql, usd: number) => sql`select spend.adjust(${tenantId}, ${usd}, 'test')`;

async function rollUp(sql: Sql): Promise<number> {
  const [row] = await sql`select spend_private.roll_up()::int as events`;
  return row?.events;
}

/**
 * Rolls up until `usd` dollars of the tenant are; answers how many events that took. At once, unless a transaction
 * of another database of this server, one that writes, is older than the events.
 */
async function rollUpAll(sql: Sql, usd: number): Promise<number> {
  let events = 0;
  await until(`${usd} dollars are rolled up`, async () => {
    events += await rollUp(sql);
    return (await sums(sql)).rolled_up === usd;
  });
  return events;
}

/** What reports and ledger say of the tenant, in one snapshot. */
async function sums(sql: Sql) {
  const [row] = await sql`
    select
      (select coalesce(sum(cost_usd), 0)::float8 from spend.hourly_costs where tenant_id = ${tenantId}) as reported,
      (select coalesce(sum(cost_usd), 0)::float8 from spend.cost_events where tenant_id = ${tenantId}) as booked,
      (select coalesce(sum(cost_usd), 0)::float8 from spend_private.cost_rollups where tenant_id = ${tenantId}) as rolled_up`;
  return row as unknown as { reported: number; booked: number; rolled_up: number };
}

/** What spend.ledger_totals counts, of all tenants of this database. */
async function totalCharged(sql: Sql): Promise<number> {
  const [row] = await sql`
    select usd::float8 from spend.ledger_totals() where resource_type = 'llm' and booking = 'charge'`;
  return row?.usd;
}

describe("Roll-ups", () => {
  it("count an event of 1 once that commits after a roll-up, and so they do an event of 2 that was booked later and committed before", async () => {
    const { sql } = database;
    // Written past the balances, so that nothing but the ledger is locked.
    await sql`delete from spend.cost_quotas where tenant_id = ${tenantId}`;
    const before = await totalCharged(sql);
    const slow = await sql.reserve();
    try {
      await slow`begin`;
      await slow`
        insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd)
        values (${tenantId}, now(), 'adjustment', 'llm', 1)`;
      await sql`
        insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd)
        values (${tenantId}, now(), 'adjustment', 'llm', 2)`;

      await rollUp(sql);
      expect(await sums(sql)).toEqual({ reported: 2, booked: 2, rolled_up: 0 });
      await slow`commit`;
    } finally {
      slow.release();
    }
    expect(await sums(sql)).toEqual({ reported: 3, booked: 3, rolled_up: 0 });
    expect(await rollUpAll(sql, 3)).toBe(2);
    expect(await sums(sql)).toEqual({ reported: 3, booked: 3, rolled_up: 3 });
    expect(await rollUp(sql)).toBe(0);
    expect((await totalCharged(sql)) - before).toBe(3);
  });

  it("beside eight connections that book 400 events and others that read: every report equals the ledger, and the total grows by 400", async () => {
    const { sql } = database;
    let isDone = false;
    const before = await totalCharged(sql);
    const readers = [1, 2].map(async () => {
      let reports = 0;
      while (!isDone) {
        const { reported, booked } = await sums(sql);
        expect(reported).toBe(booked);
        reports++;
      }
      return reports;
    });
    const rollers = [1, 2].map(async () => {
      let events = 0;
      while (!isDone) events += await rollUp(sql);
      return events;
    });
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let i = 0; i < 50; i++) await adjust(sql, 1);
      }),
    );
    isDone = true;
    const reports = await Promise.all(readers);
    const rolledUp = (await Promise.all(rollers)).reduce((sum, events) => sum + events, 0);

    expect(Math.min(...reports)).toBeGreaterThan(1);
    expect(rolledUp + (await rollUpAll(sql, 400))).toBe(400);
    expect(await sums(sql)).toEqual({ reported: 400, booked: 400, rolled_up: 400 });
    expect((await totalCharged(sql)) - before).toBe(400);
  });

  it("wait for a tenant that is moving to Kolkata, and count in its hours", async () => {
    const { sql } = database;
    await adjust(sql, 1);
    await interleave(
      sql,
      (a) => a`update spend.tenants set time_zone = 'Asia/Kolkata' where id = ${tenantId}`,
      (b) => b`select spend_private.roll_up()`,
    );
    await rollUpAll(sql, 1);
    expect(await hoursOutsideKolkata(sql)).toBe(0);
  });

  it("lose and double nothing when a tenant moves to Kolkata while its events are booked and rolled up", async () => {
    const { sql } = database;
    await Promise.all([
      ...Array.from({ length: 4 }, async () => {
        for (let i = 0; i < 20; i++) await adjust(sql, 1);
      }),
      (async () => {
        for (let i = 0; i < 20; i++) await rollUp(sql);
      })(),
      (async () => {
        for (const zone of ["Asia/Kolkata", "UTC", "Asia/Kathmandu", "Asia/Kolkata"]) {
          await sql`update spend.tenants set time_zone = ${zone} where id = ${tenantId}`;
        }
      })(),
    ]);
    await rollUpAll(sql, 80);
    expect(await sums(sql)).toEqual({ reported: 80, booked: 80, rolled_up: 80 });
    expect(await hoursOutsideKolkata(sql)).toBe(0);
  });
});

/** Roll-ups whose hour begins at another minute than the tenant's. */
async function hoursOutsideKolkata(sql: Sql): Promise<number> {
  const [row] = await sql`
    select count(*)::int as hours from spend_private.cost_rollups
    where tenant_id = ${tenantId} and hour <> greatest(
      date_trunc('hour', hour, 'UTC'), date_trunc('hour', hour, 'Asia/Kolkata')
    )`;
  return row?.hours;
}

describe("spend.maintain()", () => {
  it("that runs six times at once beside traffic, with 40 expired holds, does each job and expires each hold once", async () => {
    const { sql } = database;
    await sql`
      select spend_private.reserve(
        ${tenantId}, null, 'llm', ${sql.json(usageOf(0.5))}, p_now => now() - interval '1 hour'
      ) from generate_series(1, 40)`;
    const [runs] = await Promise.all([
      Promise.all(Array.from({ length: 6 }, () => maintain(sql))),
      ...Array.from({ length: 6 }, async () => {
        for (let i = 0; i < 10; i++) {
          const { reservation_id } = await reserve(sql, tenantId, null, 1);
          await sql`select spend.settle(${reservation_id}, ${sql.json(usageOf(1))})`;
        }
      }),
    ]);
    const done = runs.map((run) => run.expire_reservations ?? 0);
    expect(done.reduce((sum, expired) => sum + expired, 0)).toBe(40);
    expect(await verifyBalances(sql)).toEqual([]);
    await maintain(sql);
    expect(await sums(sql)).toMatchObject({ reported: 80, booked: 80 });
  });

  it("that runs twice at the same time shares the jobs: the second passes over what the first is doing", async () => {
    const { sql } = database;
    const first = await sql.reserve();
    try {
      await first`begin`;
      expect(Object.values(await maintain(first as unknown as Sql))).not.toContain(null);
      expect(new Set(Object.values(await atOnce(sql, maintain)))).toEqual(new Set([null]));
      await first`commit`;
    } finally {
      first.release();
    }
    expect(Object.values(await maintain(sql))).not.toContain(null);
  });

  it("beside a long report gives up making a partition after 2 s, bookings go on, and the next run makes it", async () => {
    const { sql } = database;
    // Written past the balances, so that nothing but the ledger is locked.
    await sql`delete from spend.cost_quotas where tenant_id = ${tenantId}`;
    await sql`
      insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd)
      values (${tenantId}, '2041-01-15', 'adjustment', 'llm', 1)`;
    const report = await sql.reserve();
    try {
      await report`begin`;
      await report`select count(*) from spend.cost_events`;
      const maintaining = maintain(sql);
      await untilLockWaits(sql, 1, "maintain");
      await adjust(sql, 2);
      const done = await maintaining;
      expect(done.make_partitions).toBeNull();
      expect(done.expire_reservations).toBe(0);
      await report`commit`;
    } finally {
      report.release();
    }
    expect((await maintain(sql)).make_partitions).toBe(1);
    expect(await sums(sql)).toMatchObject({ reported: 3, booked: 3 });
  });
});
