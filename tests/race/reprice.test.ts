// Repricing beside live traffic: every call ends at the right price, once.
import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addTenant, addTestModel, reserve, usageOf, verifyBalances } from "../support/spend.ts";
import { interleave, untilLockWaits } from "./sessions.ts";

let database: TestDatabase;
let tenantId: string;
let revision = 0;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 20 });
  await addTestModel(database.sql);
});
afterAll(() => database.close());
beforeEach(async () => {
  tenantId = await addTenant(database.sql, 1_000_000, 8);
});

/** States that the model cost `usd` dollars per million input tokens all the time. */
async function statePrice(sql: Sql, usd: number): Promise<void> {
  revision += 1;
  await sql`
    insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, revision)
    values ('llm', 'test', 'model', 'input_tokens', ${usd}, '2020-01-01', ${revision})`;
}

const reprice = (sql: Sql) => sql`
  select calls::int, difference_usd::float8 from spend.reprice(
    'test', 'model', now() - interval '1 day', now() + interval '1 day', dry_run => false)
  where tenant_id = ${tenantId}`;

const settle = (sql: Sql, id: string | null, usd: number) =>
  sql`select spend.settle(${id}, ${sql.json(usageOf(usd))})`;

/** USD booked of a reservation, event by event. */
async function booked(sql: Sql, id: string | null): Promise<number[]> {
  const rows = await sql`
    select cost_usd::float8 as usd from spend.cost_events where reservation_id = ${id} order by id`;
  return rows.map(({ usd }) => usd);
}

it("Repricing waits for a call that is being settled at the wrong price while the right one is stated, and corrects it", async () => {
  const { sql } = database;
  await statePrice(sql, 10);
  const { reservation_id } = await reserve(sql, tenantId, null, 1);
  const a = await sql.reserve();
  try {
    await a`begin`;
    await settle(a, reservation_id, 1);
    await statePrice(sql, 2);
    const repricing = reprice(sql).execute();
    await untilLockWaits(sql);
    await a`commit`;

    expect(await repricing).toEqual([{ calls: 1, difference_usd: -8 }]);
    expect(await booked(sql, reservation_id)).toEqual([10, -8]);
    expect(await verifyBalances(sql)).toEqual([]);
  } finally {
    a.release();
  }
});

describe("A released call", () => {
  const released = async (sql: Sql) => {
    await statePrice(sql, 10);
    const { reservation_id } = await reserve(sql, tenantId, null, 1);
    await sql`select spend.release(${reservation_id}, 'provider_failed')`;
    return reservation_id;
  };

  it("that is settled late, at the wrong price, while the right one is stated is waited for and corrected", async () => {
    const { sql } = database;
    const call = await released(sql);
    const repriced = await interleave(
      sql,
      async (a) => {
        const settled = await settle(a, call, 1);
        await statePrice(sql, 2);
        return settled;
      },
      reprice,
    );
    expect(repriced).toEqual([{ calls: 1, difference_usd: -8 }]);
    expect(await booked(sql, call)).toEqual([10, -8]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("is settled at the price that was set right before", async () => {
    const { sql } = database;
    const call = await released(sql);
    await statePrice(sql, 2);
    expect(await reprice(sql)).toEqual([]);
    await settle(sql, call, 1);
    expect(await booked(sql, call)).toEqual([2]);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});

it("A late settlement of an expired call waits while it is repriced, and corrects what was booked then", async () => {
  const { sql } = database;
  await statePrice(sql, 10);
  const { reservation_id } = await reserve(sql, tenantId, null, 1);
  await sql`select spend_private.expire_reservations(1000, now() + interval '1 hour')`;
  await statePrice(sql, 2);
  const a = await sql.reserve();
  try {
    await a`begin`;
    expect(await reprice(a)).toEqual([{ calls: 1, difference_usd: -8 }]);
    const settling = settle(sql, reservation_id, 0.5).execute();
    await untilLockWaits(sql);
    await a`commit`;
    await settling;

    expect(await booked(sql, reservation_id)).toEqual([10, -8, -1]);
    expect(await verifyBalances(sql)).toEqual([]);
  } finally {
    a.release();
  }
});

it("Six callers, a corrected price and three repeated repricings end with each call right and each correction booked once", async () => {
  const { sql } = database;
  await statePrice(sql, 10);
  let isDone = false;
  const call = async (usd: number) => {
    const { reservation_id } = await reserve(sql, tenantId, null, usd);
    if (usd !== 3) await settle(sql, reservation_id, usd);
  };
  const callers = Promise.all(
    Array.from({ length: 6 }, async () => {
      for (let i = 0; i < 15; i++) await call(1 + (i % 3));
    }),
  ).then(() => {
    isDone = true;
  });
  await statePrice(sql, 2);
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      while (!isDone) await reprice(sql);
    }),
  );
  await callers;
  await sql`select spend_private.expire_reservations(1000, now() + interval '1 hour')`;
  await reprice(sql);

  const [calls] = await sql`
    select count(*)::int as all,
      count(*) filter (where actual_cost_usd = 2 * (usage_estimate ->> 'input_tokens')::numeric / 1000000)::int as right
    from spend.reservations where tenant_id = ${tenantId}`;
  expect(calls).toEqual({ all: 90, right: 90 });
  const unequal = await sql`
    select r.id from spend.reservations as r join spend.cost_events as e on e.reservation_id = r.id
    where r.tenant_id = ${tenantId}
    group by r.id, r.actual_cost_usd having sum(e.cost_usd) <> r.actual_cost_usd`;
  expect(unequal).toEqual([]);
  expect(await reprice(sql)).toEqual([]);
  expect(await verifyBalances(sql)).toEqual([]);
});
