// A quota that cannot refuse a call does not slow it down, below its limit or above it, and refuses exactly once it
// can.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import {
  addTenant,
  addTestModel,
  heldUsd,
  reserve,
  usageOf,
  verifyBalances,
} from "../support/spend.ts";
import { closeSession, openSession, untilWaits, withSessions } from "./sessions.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 50 });
  await addTestModel(database.sql);
});
afterAll(() => database?.close());

describe("A quota over its limit that cannot refuse", () => {
  it("because it observes, with 64 slots and 110 of 100 spent, makes none of 32 open calls wait, and blocks exactly once it may", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 100, 64);
    await sql`update spend.cost_quotas set enforcement = 'observe' where tenant_id = ${tenantId}`;
    const first = await reserve(sql, tenantId, null, 110);
    await sql`select spend.settle(${first.reservation_id}, ${sql.json(usageOf(110))})`;

    const ids: (string | null)[] = [];
    const sessions = await Promise.all(Array.from({ length: 32 }, () => openSession(sql)));
    for (const { sql: session } of sessions) {
      await session`begin`;
      // Whoever waits for one of those that are open already fails here.
      await session`set local lock_timeout = '100ms'`;
      ids.push((await reserve(session, tenantId, null, 1)).reservation_id);
    }
    for (const { sql: session } of sessions) await session`commit`;
    await Promise.all(sessions.map(closeSession));
    expect(await heldUsd(sql, tenantId)).toBe(32);
    expect(await verifyBalances(sql)).toEqual([]);

    // Twelve more than is used: of twenty calls of one, twelve are admitted.
    await sql`update spend.cost_quotas set enforcement = 'block' where tenant_id = ${tenantId}`;
    expect((await reserve(sql, tenantId, null, 1)).allowed).toBe(false);
    for (const id of ids) await sql`select spend.release(${id})`;
    await sql`update spend.cost_quotas set limit_usd = 122 where tenant_id = ${tenantId}`;
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => reserve(sql, tenantId, null, 1)),
    );
    expect(answers.filter((answer) => answer.allowed)).toHaveLength(12);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("because calls are not enforced takes no slot's room that others count as the whole's", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 100, 8);
    const calls = (count: number, usd: number, enforce: boolean) =>
      Promise.all(
        Array.from({ length: count }, () => reserve(sql, tenantId, null, usd, { enforce })),
      );
    await calls(16, 10, false);
    const [observed, enforced] = await Promise.all([calls(16, 1, false), calls(16, 1, true)]);
    expect(observed.every((answer) => answer.allowed)).toBe(true);
    expect(enforced.some((answer) => answer.allowed)).toBe(false);
    expect(await heldUsd(sql, tenantId)).toBe(176);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("locks only the slot of an open hold that grows, and another call does not wait", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 10, 8);
    await sql`update spend.cost_quotas set enforcement = 'observe' where tenant_id = ${tenantId}`;
    await reserve(sql, tenantId, null, 20);
    await withSessions(sql, 2, async (a, b) => {
      const one = await reserve(a.sql, tenantId, null, 1);
      await b.sql`begin`;
      await a.sql`begin`;
      await a.sql`select spend.extend(${one.reservation_id}, ${sql.json(usageOf(2))})`;
      await b.sql`set local lock_timeout = '100ms'`;
      expect((await reserve(b.sql, tenantId, null, 1)).allowed).toBe(true);
      await b.sql`commit`;
      await a.sql`commit`;
    });
    expect(await heldUsd(sql, tenantId)).toBe(23);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});

it("A quota that observed and blocks from now on waits for the calls that it could not refuse", async () => {
  const { sql } = database;
  const tenantId = await addTenant(sql, 5, 8);
  await sql`update spend.cost_quotas set enforcement = 'observe' where tenant_id = ${tenantId}`;
  await withSessions(sql, 2, async (a, b) => {
    await a.sql`begin`;
    await reserve(a.sql, tenantId, null, 10);
    const change =
      b.sql`update spend.cost_quotas set enforcement = 'block' where tenant_id = ${tenantId}`.execute();
    await untilWaits(sql, b);
    await a.sql`commit`;
    await change;
  });
  expect((await reserve(sql, tenantId, null, 1)).allowed).toBe(false);
  expect(await verifyBalances(sql)).toEqual([]);
});
