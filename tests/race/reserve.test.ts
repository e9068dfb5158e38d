import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import {
  addTenant,
  addTestModel,
  addUser,
  heldUsd,
  reserve,
  usageOf,
  verifyBalances,
} from "../support/spend.ts";
import { atOnce, untilLockWaits } from "./sessions.ts";

let database: TestDatabase;

/** A tenant that has spent its limit of 5. */
async function exhausted(sql: Sql): Promise<string> {
  const tenantId = await addTenant(sql, 5, 8);
  const { reservation_id } = await reserve(sql, tenantId, null, 5);
  await sql`select spend.settle(${reservation_id}, ${sql.json(usageOf(5))})`;
  return tenantId;
}

function refusalsOf(sql: Sql, tenantId: string) {
  return sql<{ refusals: number; parts: number }[]>`
    select sum(c.refusals)::int as refusals, (count(distinct c.part))::int as parts
    from spend.refusal_counts as c where c.tenant_id = ${tenantId}`;
}

beforeAll(async () => {
  database = await cloneDatabase({ connections: 60 });
  await addTestModel(database.sql);
});
afterAll(() => database.close());

describe("A burst of concurrent calls", () => {
  it.each([1, 8, 64])(
    "of fifty times 5 on a limit of 100 in %i slots has exactly twenty admitted",
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

  it("of a user, eight calls each dearer than the default user quota, has none admitted", async () => {
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

  it("with one idempotency key, ten requests, makes one hold and gets the same answer ten times", async () => {
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

  it("to settle one reservation, twenty of them, books it once", async () => {
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

describe("Slots", () => {
  it("give back what a call settles below: limit 100, 60 settled of a hold of 5, then of fifty calls of 5 eight are admitted", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 100, 8);
    const dear = await reserve(sql, tenantId, null, 5);
    await sql`select spend.settle(${dear.reservation_id}, ${sql.json(usageOf(60))})`;

    const answers = await Promise.all(
      Array.from({ length: 50 }, () => reserve(sql, tenantId, null, 5)),
    );

    expect(answers.filter((answer) => answer.allowed)).toHaveLength(8);
  });

  it("give room again: over the limit, then 10 below it, one of twenty concurrent calls of 10 is admitted", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 100, 8);
    const first = await reserve(sql, tenantId, null, 110, { enforce: false });
    await reserve(sql, tenantId, null, 30, { enforce: false });
    // The first call's slot has room for five calls now, the whole has room for one.
    await sql`select spend.settle(${first.reservation_id}, ${sql.json(usageOf(60))})`;

    const answers = await Promise.all(
      Array.from({ length: 20 }, () => reserve(sql, tenantId, null, 10)),
    );

    expect(answers.filter((answer) => answer.allowed)).toHaveLength(1);
  });
});

describe("A forced interleaving", () => {
  it("of a limit that is lowered while the first call of a period opens the balance has the new limit count", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 100, 8);
    await sql`delete from spend_private.quota_balances where tenant_id = ${tenantId}`;
    const a = await sql.reserve();
    try {
      await a`begin`;
      await a`update spend.cost_quotas set limit_usd = 50 where tenant_id = ${tenantId}`;
      const call = reserve(sql, tenantId, null, 10);
      await untilLockWaits(sql);
      await a`commit`;

      expect((await call).allowed).toBe(true);
      expect((await reserve(sql, tenantId, null, 41)).allowed).toBe(false);
      expect(await verifyBalances(sql)).toEqual([]);
    } finally {
      a.release();
    }
  });

  it("of two transactions that change two limits in opposite order has the second wait for the first", async () => {
    const { sql } = database;
    const one = await addTenant(sql, 100, 8);
    const two = await addTenant(sql, 100, 8);
    const a = await sql.reserve();
    const b = await sql.reserve();
    const raise = (connection: Sql, tenantId: string) =>
      connection`update spend.cost_quotas set limit_usd = limit_usd + 1 where tenant_id = ${tenantId}`;
    try {
      await a`begin`;
      await b`begin`;
      await raise(a, one);
      const second = raise(b, two).execute(); // A query is lazy until it is awaited.
      await untilLockWaits(sql);
      await raise(a, two);
      await a`commit`;
      await second;
      await raise(b, one);
      await b`commit`;

      const limits = await sql`
        select limit_usd::int from spend.cost_quotas where tenant_id in (${one}, ${two})`;
      expect(limits).toEqual([{ limit_usd: 102 }, { limit_usd: 102 }]);
    } finally {
      a.release();
      b.release();
    }
  });

  it("of A, who holds the last room in an open transaction, and B has B wait for it, see it committed, and be refused", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 5, 1);
    const a = await sql.reserve();
    try {
      await a`begin`;
      const first = await reserve(a, tenantId, null, 5);
      const second = reserve(sql, tenantId, null, 5);
      await untilLockWaits(sql);
      await a`commit`;

      expect(first.allowed).toBe(true);
      expect(await second).toMatchObject({ allowed: false, reason: "in_flight" });
      expect(await heldUsd(sql, tenantId)).toBe(5);
    } finally {
      a.release();
    }
  });

  it("of A, who rolls its hold back, and B, which waited for it, has B admitted", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 5, 1);
    const a = await sql.reserve();
    try {
      await a`begin`;
      await reserve(a, tenantId, null, 5);
      const second = reserve(sql, tenantId, null, 5);
      await untilLockWaits(sql);
      await a`rollback`;

      expect((await second).allowed).toBe(true);
      expect(await heldUsd(sql, tenantId)).toBe(5);
    } finally {
      a.release();
    }
  });

  it("of A, who holds the only slot with room, and B has B take another slot without waiting", async () => {
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

  it("of refusals by an exhausted quota locks no balance and writes its count alone, once the alert is there", async () => {
    const { sql } = database;
    const tenantId = await exhausted(sql);
    await reserve(sql, tenantId, null, 1);
    const a = await sql.reserve();
    try {
      await a`begin`;
      expect((await reserve(a, tenantId, null, 1)).reason).toBe("limit_reached");
      // What it has written, or locked a row of, beside what every call locks.
      const locks = await a`
        select distinct c.oid::regclass::text as name from pg_locks as l join pg_class as c on c.oid = l.relation
        where l.pid = pg_backend_pid() and l.mode in ('RowShareLock', 'RowExclusiveLock')
          and c.relkind in ('r', 'p') and c.relname not like 'pg\\_%' order by 1`;
      expect(locks.map((lock) => lock.name)).toEqual([
        "spend.refusal_counts",
        "spend.reservations",
      ]);
      await a`commit`;
    } finally {
      a.release();
    }
  });

  it("of 32 refusals in transactions that stay open has none wait for another, and 32 counted", async () => {
    const { sql } = database;
    const tenantId = await exhausted(sql);
    await reserve(sql, tenantId, null, 1);
    const [before] = await refusalsOf(sql, tenantId);
    const connections = await Promise.all(Array.from({ length: 32 }, () => sql.reserve()));
    try {
      await Promise.all(
        connections.map(async (a) => {
          await a`begin`;
          await a`set local lock_timeout = '100ms'`;
        }),
      );
      // Twice in each: no transaction takes more than one part.
      for (let round = 0; round < 2; round++) {
        const answers = await Promise.all(connections.map((a) => reserve(a, tenantId, null, 1)));
        expect(answers.map((answer) => answer.reason)).toEqual(Array(32).fill("limit_reached"));
      }
      await Promise.all(connections.slice(1).map((a) => a`commit`));
      const [first] = connections;
      if (first) await first`rollback`;
    } finally {
      for (const a of connections) a.release();
    }
    expect(before).toEqual({ refusals: 1, parts: 1 });
    const [after] = await refusalsOf(sql, tenantId);
    expect(after?.refusals).toBe(1 + 31 * 2);
    expect(after?.parts).toBeLessThanOrEqual(32);

    // Each in a transaction of its own.
    await Promise.all(Array.from({ length: 320 }, () => reserve(sql, tenantId, null, 1)));
    const [flooded] = await refusalsOf(sql, tenantId);
    expect(flooded?.refusals).toBe(1 + 31 * 2 + 320);
    expect(flooded?.parts).toBeLessThanOrEqual(60);
  });

  it("of a refusal and its commit waits for the disk unless the request to the API is that refusal alone", async () => {
    const { sql } = database;
    const tenantId = await exhausted(sql);
    await reserve(sql, tenantId, null, 1);
    const commitOf = async (path: string, statement: string, limitUsd: number) => {
      const a = await sql.reserve();
      try {
        await a`begin`;
        await a`select set_config('request.path', ${path}, true)`;
        await a.unsafe(statement);
        await reserve(a, tenantId, null, limitUsd);
        const [row] = await a`select current_setting('synchronous_commit') as value`;
        await a`rollback`;
        return row?.value;
      } finally {
        a.release();
      }
    };
    expect(await commitOf("/rpc/reserve", "select 1", 1)).toBe("off");
    expect(await commitOf("/rpc/reserve", "select 1", 0)).toBe("on");
    expect(await commitOf("", "select 1", 1)).toBe("on");
    expect(await commitOf("/rpc/of_my_own", "select 1", 1)).toBe("on");
    expect(await commitOf("/rpc/reserve", "select pg_current_xact_id()", 1)).toBe("on");
  });

  it("of a settle and its commit waits for the disk unless settings say otherwise, the request to the API is that settle alone, and its hold covers it", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 100, 8);
    const holdOf = async () => (await reserve(sql, tenantId, null, 1)).reservation_id as string;
    const commitOf = async ({ path = "/rpc/settle", before = "select 1", usd = 0.5, id = "" }) => {
      const held = id || (await holdOf());
      return sql.begin(async (a) => {
        await a`select set_config('request.path', ${path}, true)`;
        await a.unsafe(before);
        await a`select spend.settle(${held}, ${a.json(usageOf(usd))})`;
        const [row] = await a`select current_setting('synchronous_commit') as value`;
        return row?.value;
      });
    };
    expect(await commitOf({})).toBe("on");
    await sql`update spend.settings set settle_asynchronously = true`;
    try {
      expect(await commitOf({})).toBe("off");
      expect(await commitOf({ path: "" })).toBe("on");
      expect(await commitOf({ path: "/rpc/of_my_own" })).toBe("on");
      expect(await commitOf({ before: "select pg_current_xact_id()" })).toBe("on");
      // The hold that a crash brings back would expire for less than the call costs.
      expect(await commitOf({ usd: 1 })).toBe("off");
      expect(await commitOf({ usd: 1.5 })).toBe("on");
      const released = await holdOf();
      await sql`select spend.release(${released})`;
      expect(await commitOf({ id: released })).toBe("on");
      const [after] = await sql`select current_setting('synchronous_commit') as value`;
      expect(after?.value).toBe("on");
    } finally {
      await sql`update spend.settings set settle_asynchronously = false`;
    }
  });

  it("of a settle with the expiry of its hold has expiry pass over it, and take the others", async () => {
    const { sql } = database;
    const tenantId = await addTenant(sql, 100, 8);
    const settled = await reserve(sql, tenantId, null, 5);
    const lost = await reserve(sql, tenantId, null, 7);
    const a = await sql.reserve();
    try {
      await a`begin`;
      await a`select spend.settle(${settled.reservation_id}, ${a.json(usageOf(1))})`;
      await atOnce(
        sql,
        (s) => s`select spend_private.expire_reservations(1000, now() + interval '1 hour')`,
      );
      await a`commit`;
    } finally {
      a.release();
    }

    const statuses = await sql`
      select id, status from spend.reservations where tenant_id = ${tenantId} order by id`;
    expect(statuses).toEqual([
      { id: settled.reservation_id, status: "settled" },
      { id: lost.reservation_id, status: "expired" },
    ]);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});
