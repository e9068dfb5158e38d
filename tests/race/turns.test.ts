// Calls of one user queue for the only slot of his quota, each once, and are served in the order in which they came.
import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import {
  addQuota,
  addTenant,
  addTestModel,
  addUser,
  reserve,
  usageOf,
  verifyBalances,
} from "../support/spend.ts";
import { deadlocks, untilLockWaits, untilWaits, withSessions } from "./sessions.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 20 });
  await addTestModel(database.sql);
});
afterAll(() => database?.close());

/** A user with a quota of one slot, whose balance is open. */
async function hotUser(sql: Sql): Promise<{ tenant: string; user: string }> {
  const tenant = await addTenant(sql, 1000, 8);
  const user = await addUser(sql, tenant);
  await addQuota(sql, { scope: "user", tenantId: tenant, userId: user, limitUsd: 100, slots: 1 });
  await reserve(sql, tenant, user, 1);
  return { tenant, user };
}

const held = async (sql: Sql, tenant: string, user: string) =>
  (await reserve(sql, tenant, user, 1)).reservation_id;

/** What sessions of this database wait for. */
const waits = (sql: Sql) =>
  sql<{ locktype: string; waiting: number }[]>`
    select l.locktype, count(*)::int as waiting from pg_locks as l
    join pg_stat_activity as a on a.pid = l.pid and a.datname = current_database()
    where not l.granted group by l.locktype`;

describe("Calls of a user whose quota has one slot", () => {
  it("wait for their turn alone, and are held in the order in which they came", async () => {
    const { sql } = database;
    const { tenant, user } = await hotUser(sql);
    await withSessions(sql, 6, async (first, ...others) => {
      await first.sql`begin`;
      await reserve(first.sql, tenant, user, 1);
      const answers = [];
      for (const [number, other] of others.entries()) {
        answers.push(reserve(other.sql, tenant, user, number + 2));
        await untilWaits(sql, other);
      }
      expect(await waits(sql)).toEqual([{ locktype: "advisory", waiting: 5 }]);
      await first.sql`commit`;
      await Promise.all(answers);
    });
    // A transaction gets its number when it first writes: in its turn.
    const inOrder = await sql`
      select estimated_cost_usd::int as usd from spend.reservations
      where tenant_id = ${tenant} and estimated_cost_usd > 1 order by xmin::text::bigint`;
    expect(inOrder.map(({ usd }) => usd)).toEqual([2, 3, 4, 5, 6]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it.each([
    [
      "settled",
      (sql: Sql, id: string | null) => sql`select spend.settle(${id}, ${sql.json(usageOf(1))})`,
    ],
    ["released", (sql: Sql, id: string | null) => sql`select spend.release(${id})`],
  ])("wait for their turn alone when they are %s", async (_, end) => {
    const { sql } = database;
    const { tenant, user } = await hotUser(sql);
    const ids = await Promise.all([1, 2, 3].map(() => held(sql, tenant, user)));
    await withSessions(sql, 1, async ({ sql: session }) => {
      await session`begin`;
      await reserve(session, tenant, user, 1);
      const ended = Promise.all(ids.map((id) => end(sql, id)));
      await untilLockWaits(sql, 3);
      expect(await waits(sql)).toEqual([{ locktype: "advisory", waiting: 3 }]);
      await session`commit`;
      await ended;
    });
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("are refused without queuing where another quota of theirs is exhausted", async () => {
    const { sql } = database;
    const { tenant, user } = await hotUser(sql);
    await sql`select spend.adjust(${tenant}, 1000, 'All that this tenant may spend')`;
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      await a.sql`
        select from spend_private.quota_balances as b
        where b.quota_id = (select q.id from spend.cost_quotas as q where q.scope_id = ${user}) for update`;
      await b.sql`set lock_timeout = '100ms'`;
      expect((await reserve(b.sql, tenant, user, 1)).reason).toBe("limit_reached");
      await a.sql`commit`;
    });
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("do not queue for a slot that their transaction has locked already: nobody deadlocks", async () => {
    const { sql } = database;
    const { tenant, user } = await hotUser(sql);
    const [grows, ends, returns] = await Promise.all([1, 2, 3].map(() => held(sql, tenant, user)));
    const before = await deadlocks(sql);
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      // Locks the slot without a turn.
      await a.sql`select spend.extend(${grows as string}, ${sql.json(usageOf(2))})`;
      const waiting = reserve(b.sql, tenant, user, 1);
      await untilWaits(sql, b);
      await a.sql`select spend.settle(${ends as string}, ${sql.json(usageOf(1))})`;
      await a.sql`select spend.release(${returns as string})`;
      expect((await reserve(a.sql, tenant, user, 1)).allowed).toBe(true);
      await a.sql`commit`;
      expect((await waiting).allowed).toBe(true);
    });
    expect(await deadlocks(sql)).toBe(before);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});
