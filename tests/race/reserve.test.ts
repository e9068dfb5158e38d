import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../setup/database.ts";
import { addTenant, addTestModel, addUser, heldUsd, reserve, verifyBalances } from "./spend.ts";

let database: TestDatabase;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 60 });
  await addTestModel(database.sql);
});
afterAll(() => database.close());

describe("a burst of concurrent calls", () => {
  it.each([1, 8, 64])(
    "limit 100, %i slots, fifty concurrent reserves of 5: exactly twenty are admitted",
    async (slots) => {
      const { sql } = database;
      const tenantId = await addTenant(sql, 100, slots);

      const answers = await Promise.all(
        Array.from({ length: 50 }, () => reserve(sql, tenantId, null, 5)),
      );

      expect(answers.filter((answer) => answer.allowed)).toHaveLength(20);
      expect(new Set(answers.map((answer) => answer.reason))).toEqual(new Set([null, "in_flight"]));
      expect(await heldUsd(sql, tenantId)).toBe(100);
      expect(await verifyBalances(sql)).toEqual([]);
    },
  );

  it("eight concurrent calls of a user, each dearer than the default user quota: none is admitted", async () => {
    const { sql } = database;
    await sql`insert into spend.plans (id, name) values ('small', 'Small')`;
    await sql`
      insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
      values ('small', 'user', 'llm', 'month', 5)`;
    const [tenant] = await sql`
      insert into spend.tenants (name, plan_id) values ('Small', 'small') returning id`;
    const userId = await addUser(sql, tenant?.id);

    const answers = await Promise.all(
      Array.from({ length: 8 }, () => reserve(sql, tenant?.id, userId, 5.01)),
    );

    expect(answers.filter((answer) => answer.allowed)).toEqual([]);
    expect(answers[0]?.reason).toBe("exceeds_limit");
  });

  it("ten concurrent requests with one idempotency key: one hold, ten times the same answer", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 100, 8);

    const answers = await Promise.all(
      Array.from(
        { length: 10 },
        () => sql`
          select reservation_id, replayed
          from spend.reserve(${tenantId}, null, 'llm',
            '{"provider": "test", "model": "model", "input_tokens": 1000000, "output_tokens": 0}',
            idempotency_key => 'key')`,
      ),
    );

    expect(new Set(answers.map(([answer]) => answer?.reservation_id)).size).toBe(1);
    expect(answers.filter(([answer]) => answer?.replayed === false)).toHaveLength(1);
    expect(await heldUsd(sql, tenantId)).toBe(1);
  });

  it("twenty concurrent settles of one reservation: booked once", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 100, 8);
    const { reservation_id } = await reserve(sql, tenantId, null, 5);

    await Promise.all(
      Array.from(
        { length: 20 },
        () => sql`
          select * from spend.settle(${reservation_id},
            '{"provider": "test", "model": "model", "input_tokens": 2000000, "output_tokens": 0}')`,
      ),
    );

    const events = await sql`
      select cost_usd::float8 as usd from spend.cost_events where reservation_id = ${reservation_id}`;
    expect(events).toEqual([{ usd: 2 }]);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});

describe("a forced interleaving", () => {
  it("A holds the last room in an open transaction; B waits for it, sees it committed, and is refused", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 5, 1);
    const a = await sql.reserve();
    const b = await sql.reserve();
    try {
      await a`begin`;
      const first = await reserve(a, tenantId, null, 5);
      const [{ pid }] = (await b`select pg_backend_pid() as pid`) as unknown as [{ pid: number }];
      const second = reserve(b, tenantId, null, 5);

      await expect
        .poll(async () => {
          const [row] = await sql`
            select wait_event_type from pg_stat_activity where pid = ${pid} and state = 'active'`;
          return row?.wait_event_type;
        })
        .toBe("Lock");
      await a`commit`;

      expect(first.allowed).toBe(true);
      expect(await second).toMatchObject({ allowed: false, reason: "in_flight" });
      expect(await heldUsd(sql, tenantId)).toBe(5);
    } finally {
      a.release();
      b.release();
    }
  });

  it("A rolls its hold back; B, which waited for it, is admitted", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 5, 1);
    const a = await sql.reserve();
    try {
      await a`begin`;
      await reserve(a, tenantId, null, 5);
      const second = reserve(sql, tenantId, null, 5);
      await expect
        .poll(async () => {
          const [row] = await sql`
            select count(*)::int as waiting from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'`;
          return row?.waiting;
        })
        .toBe(1);
      await a`rollback`;

      expect((await second).allowed).toBe(true);
      expect(await heldUsd(sql, tenantId)).toBe(5);
    } finally {
      a.release();
    }
  });

  it("A holds the only slot with room; B takes another one without waiting", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 100, 8);
    const a = await sql.reserve();
    try {
      await a`begin`;
      await reserve(a, tenantId, null, 1);
      expect((await reserve(sql, tenantId, null, 1)).allowed).toBe(true);
    } finally {
      await a`rollback`;
      a.release();
    }
  });
});
