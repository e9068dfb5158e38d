import { afterAll, beforeAll, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../setup/database.ts";
import {
  addQuota,
  addTenant,
  addTestModel,
  addUser,
  reserve,
  usageOf,
  verifyBalances,
} from "./spend.ts";

const SECONDS = Number(process.env.SPENDGATE_DEADLOCK_SECONDS ?? 60);

let database: TestDatabase;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 20 });
  await addTestModel(database.sql);
});
afterAll(() => database.close());

/** Until it is not answered 55P03 any more, which a busy machine may give: that is a wait, and no deadlock. */
async function again<T>(call: () => PromiseLike<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if ((error as { code?: string }).code !== "55P03") throw error;
    }
  }
}

it(`${SECONDS} s of opposing calls and changing limits, slots and periods: no deadlock`, {
  timeout: (SECONDS + 60) * 1000,
}, async () => {
  const { sql } = database;
  await addQuota(sql, { scope: "platform", resourceType: "all", limitUsd: 1e6, slots: 4 });
  const tenants = await Promise.all([1, 2].map(() => addTenant(sql, 1000, 4)));
  const callers: { tenantId: string; userId: string }[] = [];
  for (const tenantId of tenants) {
    for (let user = 0; user < 2; user++) {
      const userId = await addUser(sql, tenantId);
      await addQuota(sql, { scope: "user", tenantId, userId, limitUsd: 500 });
      await addQuota(sql, { scope: "user", tenantId, userId, limitUsd: 500, resourceType: "all" });
      callers.push({ tenantId, userId });
    }
  }

  const end = Date.now() + SECONDS * 1000;
  let calls = 0;
  const spendUntilEnd = async (worker: number) => {
    while (Date.now() < end) {
      const { tenantId, userId } = callers[
        (worker + calls) % callers.length
      ] as (typeof callers)[0];
      const { reservation_id } = await again(() => reserve(sql, tenantId, userId, 1));
      calls++;
      if (reservation_id === null) continue;
      const cost = [0.1, 1, 3][calls % 3] as number; // Below, at and above the hold.
      await again(() =>
        calls % 7 === 0
          ? sql`select spend.release(${reservation_id})`
          : sql`select spend.settle(${reservation_id}, ${sql.json(usageOf(cost))})`,
      );
    }
  };
  const changeUntilEnd = async () => {
    for (let round = 0; Date.now() < end; round++) {
      await sql`update spend.cost_quotas set limit_usd = limit_usd + 10`;
      await sql`update spend.cost_quotas set slots = ${1 + (round % 5)}`;
      if (round % 10 === 0) {
        await sql`
          update spend.cost_quotas set period = ${round % 20 === 0 ? "month" : "day"}
          where scope <> 'platform'`;
      }
      await sql`select spend.expire_reservations()`;
    }
  };

  await Promise.all([
    ...Array.from({ length: 14 }, (_, worker) => spendUntilEnd(worker)),
    changeUntilEnd(),
    changeUntilEnd(),
  ]);

  const [{ deadlocks }] = (await sql`
    select deadlocks::int from pg_stat_database where datname = current_database()`) as unknown as [
    { deadlocks: number },
  ];
  expect(deadlocks).toBe(0);
  expect(calls).toBeGreaterThan(100);
  expect(await verifyBalances(sql)).toEqual([]);
});
