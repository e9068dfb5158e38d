// Retention beside calls: it passes over rows that others use, and waits for nobody.
import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addTenant, addTestModel, usageOf, verifyBalances } from "../support/spend.ts";
import { untilLockWaits } from "./sessions.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS);

let database: TestDatabase;
let tenantId: string;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 8 });
  await addTestModel(database.sql);
});
afterAll(() => database.close());
beforeEach(async () => {
  tenantId = await addTenant(database.sql, 1_000_000, 8);
});

/** A call of 100 days ago that nobody settled: booked at its estimate. */
async function expiredCall(sql: Sql): Promise<string> {
  const [call] = await sql`
    select (r).reservation_id as id from (
      select spend_private.reserve(${tenantId}::uuid, null, 'llm', ${sql.json(usageOf(5))}, p_now => ${daysAgo(100)}) as r
    ) as t`;
  await sql`select spend_private.expire_reservations(100, ${daysAgo(99)})`;
  return call?.id;
}

/** One step of a job; null: it waited for a lock, and gave up. */
async function step(sql: Sql, job: string): Promise<number | null> {
  const [done] = await sql`select (spend.maintain(${job}) ->> ${job})::integer as count`;
  return done?.count;
}

const settle = (sql: Sql, id: string) =>
  sql`select cost_usd::float8 from spend.settle(${id}, ${sql.json(usageOf(2))})`;

describe("Retention", () => {
  it("passes over a call of 100 days ago that is being settled at $2 without waiting, and keeps it", async () => {
    const { sql } = database;
    const ids = [await expiredCall(sql), await expiredCall(sql)] as const;
    const settler = await sql.reserve();
    try {
      await settler`begin`;
      expect(await settle(settler as unknown as Sql, ids[0])).toEqual([{ cost_usd: 2 }]);
      expect(await step(sql, "delete_reservations")).toBe(1);
      await settler`commit`;
    } finally {
      settler.release();
    }
    expect(await step(sql, "delete_reservations")).toBe(0);
    expect(await sql`select id from spend.reservations where tenant_id = ${tenantId}`).toEqual([
      { id: ids[0] },
    ]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("of a call of 100 days ago that is being deleted answers its settle with PT404, and the balances are right", async () => {
    const { sql } = database;
    const id = await expiredCall(sql);
    const deleter = await sql.reserve();
    try {
      await deleter`begin`;
      expect(await step(deleter as unknown as Sql, "delete_reservations")).toBe(1);
      const settled = settle(sql, id).then(
        () => "settled",
        (error) => error.code,
      );
      await untilLockWaits(sql, 1, "spend.settle");
      await deleter`commit`;
      expect(await settled).toBe("PT404");
    } finally {
      deleter.release();
    }
    expect(await verifyBalances(sql)).toEqual([]);
  });
});

it("Of two keys of adjustments, one of which somebody has locked, the other is deleted without waiting", async () => {
  const { sql } = database;
  for (const key of ["locked", "free"]) {
    await sql`select spend_private.adjust(${tenantId}::uuid, 1, 'credit', p_idempotency_key => ${key}, p_now => ${daysAgo(100)})`;
  }
  const other = await sql.reserve();
  try {
    await other`begin`;
    await other`select from spend_private.adjustments where idempotency_key = 'locked' for update`;
    expect(await step(sql, "delete_adjustment_keys")).toBe(1);
    await other`commit`;
  } finally {
    other.release();
  }
  expect(await step(sql, "delete_adjustment_keys")).toBe(1);
});
