// A quota that changes its period, subject or owner in use: what is spent and held of it is what the ledger and the open
// calls say, the next call is admitted by that, and every open call still ends. Each pair of periods and each subject,
// with calls at the very moments where the two periods begin.
import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import {
  addQuota,
  addTenant,
  addTestModel,
  addUser,
  maintain,
  reserve,
  usageOf,
  verifyBalances,
} from "../support/spend.ts";
import { openCalls, wrongCalls, wrongQuotas, wrongReports } from "./oracle.ts";
import { interleave, overlap, type Work } from "./sessions.ts";
import { removeWorld } from "./world.ts";

const PERIODS = ["hour", "day", "week", "month", "lifetime"] as const;
const PAIRS = PERIODS.flatMap((from) =>
  PERIODS.filter((to) => to !== from).map((to) => [from, to] as const),
);

let database: TestDatabase;
let sql: Sql;
let tenantId: string;
let userId: string;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 10 });
  sql = database.sql;
  await addTestModel(sql);
  await addTestModel(sql, "test", "mini");
});
afterAll(() => database?.close());
beforeEach(async () => {
  // What one case breaks must not break the next.
  await removeWorld(sql);
  tenantId = await addTenant(sql, 1e6, 1);
  await sql`delete from spend.cost_quotas`;
  userId = await addUser(sql, tenantId);
});

/** A call of `usd` dollars at each of these moments of the clock; answers their ids. */
async function callsAt(
  moments: string[],
  usd: number,
  { tenant = tenantId, ttl = 604800 } = {},
): Promise<string[]> {
  const rows = await sql`
    select (spend_private.reserve(
      ${tenant}, null, 'llm', ${sql.json(usageOf(usd))}, p_now => m::timestamptz,
      p_ttl_seconds => ${ttl}, p_enforce => false
    )).reservation_id as id
    from unnest(${moments}::text[]) as m`;
  return rows.map(({ id }) => id);
}

/** When the tenant's periods that contain now begin, and the microsecond before: hours, days, weeks and months collide there. */
async function collisions(): Promise<string[]> {
  const rows = await sql`
    select distinct (date_trunc(p, now(), t.time_zone) + before)::text as at
    from spend.tenants as t
    cross join unnest(array['month', 'week', 'day', 'hour']) as p
    cross join unnest(array['0', '-1 microsecond']::interval[]) as before
    where t.id = ${tenantId}`;
  return rows.map(({ at }) => at);
}

/** Calls of every fate at each of these moments, and now. Answers those that are open. */
async function callsOfEveryFate(moments: string[]): Promise<string[]> {
  const all = [...moments, "now"];
  await sql`
    select spend_private.settle(r.id, ${sql.json(usageOf(1.25))}, p_now => r.created_at + interval '1 minute')
    from spend.reservations as r where r.id = any (${await callsAt(all, 1)})`;
  await sql`
    select spend.release(r.id) from spend.reservations as r where r.id = any (${await callsAt(all, 2)})`;
  await callsAt(all, 0.5, { ttl: 1 });
  await sql`select spend_private.expire_reservations(100, now() + interval '2 seconds')`;
  return [...(await callsAt(all, 0.25)), ...(await callsAt(all, 0.75))];
}

async function expectRight(tenants = [tenantId]): Promise<void> {
  expect(await wrongQuotas(sql, tenants)).toEqual([]);
  expect(await verifyBalances(sql)).toEqual([]);
}

/** The quota admits what is left of it to the cent, and no cent more. */
async function expectRoom(quotaId: number, usd: number): Promise<void> {
  await sql`
    update spend.cost_quotas as q set limit_usd = s.current_spend_usd + ${usd}
    from spend.quota_status as s where s.quota_id = q.id and q.id = ${quotaId}`;
  expect(await reserve(sql, tenantId, userId, usd + 0.01)).toMatchObject({ allowed: false });
  const admitted = await reserve(sql, tenantId, userId, usd);
  expect(admitted).toMatchObject({ allowed: true });
  expect(await reserve(sql, tenantId, userId, 0.01)).toMatchObject({ allowed: false });
  await sql`select spend.release(${admitted.reservation_id})`;
}

/** Open calls end in each way, and none is left. */
async function endAll(open: string[], tenants = [tenantId]): Promise<void> {
  const every = (start: number) => open.filter((_, index) => index % 3 === start);
  await sql`
    select spend.settle(r.id, ${sql.json(usageOf(0.6))})
    from spend.reservations as r where r.id = any (${every(0)})`;
  await sql`select spend.release(r.id) from spend.reservations as r where r.id = any (${every(1)})`;
  await expectRight(tenants);
  await sql`select spend_private.expire_reservations(1000, now() + interval '40 days')`;
  expect(await openCalls(sql, tenants)).toEqual([]);
  await expectRight(tenants);
  // An expired call whose cost comes late is corrected where it counted.
  await sql`
    select spend.settle(r.id, ${sql.json(usageOf(0.3))})
    from spend.reservations as r where r.id = any (${open})`;
  await expectRight(tenants);
  expect(await wrongCalls(sql, tenants)).toEqual([]);
  expect(await wrongReports(sql, tenants)).toEqual([]);
}

describe("A quota's period changes with calls at every moment where periods begin", () => {
  it.each(PAIRS)(
    "from %s to %s: spent, held and room are right, and every open call ends",
    async (from, to) => {
      const quota = await addQuota(sql, {
        scope: "tenant",
        tenantId,
        limitUsd: 1000,
        period: from,
        slots: 3,
      });
      const open = await callsOfEveryFate(await collisions());
      await sql`update spend.cost_quotas set period = ${to} where id = ${quota}`;
      await expectRight();
      await expectRoom(quota, 5);
      await endAll(open);
      await sql`update spend.cost_quotas set limit_usd = 1 where id = ${quota}`;
      const [{ usd }] = (await sql`
      select greatest(1 - current_spend_usd, 0)::float8 as usd from spend.quota_status
      where quota_id = ${quota}`) as unknown as [{ usd: number }];
      expect(await reserve(sql, tenantId, null, usd + 0.01)).toMatchObject({ allowed: false });
    },
  );

  it.each(PAIRS)(
    "from %s to %s and back, with calls between: it is as if it had never changed",
    async (from, to) => {
      const quota = await addQuota(sql, {
        scope: "tenant",
        tenantId,
        limitUsd: 1000,
        period: from,
        slots: 1,
      });
      const open = await callsOfEveryFate(await collisions());
      await sql`update spend.cost_quotas set period = ${to} where id = ${quota}`;
      open.push(...(await callsOfEveryFate([])));
      await sql`update spend.cost_quotas set period = ${from} where id = ${quota}`;
      open.push(...(await callsOfEveryFate([])));
      await expectRight();
      await expectRoom(quota, 5);
      await endAll(open);
    },
  );

  it.each(PERIODS)(
    "and so does its time zone under a period of a %s, back and forth: it is right each time",
    async (period) => {
      const quota = await addQuota(sql, {
        scope: "tenant",
        tenantId,
        limitUsd: 1000,
        period,
        slots: 3,
      });
      const open: string[] = [];
      for (const zone of ["Asia/Kolkata", "America/New_York", "Pacific/Auckland", "UTC"]) {
        open.push(...(await callsOfEveryFate(await collisions())));
        await sql`update spend.tenants set time_zone = ${zone} where id = ${tenantId}`;
        await expectRight();
        await expectRoom(quota, 5);
      }
      await endAll(open);
    },
  );

  it.each(PERIODS)(
    "but not under a call open over the end of its %s: that settles in it, and leaves the next period alone",
    async (period) => {
      const quota = await addQuota(sql, { scope: "tenant", tenantId, limitUsd: 1000, period });
      const open = await callsOfEveryFate([]);
      const next = "2 months";
      const [later] = await sql`
      select (spend_private.reserve(${tenantId}, null, 'llm', ${sql.json(usageOf(2))},
        p_now => now() + ${next}::text::interval)).reservation_id as id`;
      for (const id of open) {
        await sql`select spend_private.settle(${id}, ${sql.json(usageOf(3))}, p_now => now() + ${next}::text::interval)`;
      }
      expect(await verifyBalances(sql)).toEqual([]);
      await sql`select spend_private.settle(${later?.id}, null, p_now => now() + ${next}::text::interval)`;
      expect(await verifyBalances(sql)).toEqual([]);
      await sql`delete from spend.cost_quotas where id = ${quota}`;
    },
  );
});

it.each(PERIODS.slice(0, 4))(
  "A call that is open in an ended %s still ends when the quota changes and maintenance tidies up",
  async (period) => {
    const quota = await addQuota(sql, { scope: "tenant", tenantId, limitUsd: 1000, period });
    const open = await callsAt(
      (await sql`select (now() - interval '2 months')::text as at`).map(({ at }) => at),
      1,
    );
    await sql`update spend.reservations set expires_at = now() + interval '1 day' where id = any (${open})`;
    await sql`update spend.cost_quotas set period = 'lifetime' where id = ${quota}`;
    await maintain(sql);
    expect(await verifyBalances(sql)).toEqual([]);
    await endAll(open);
    await maintain(sql);
    expect(await verifyBalances(sql)).toEqual([]);
  },
);

describe("A quota moves to another subject with calls open", () => {
  /** What it limits before and after; a move that cannot be done exactly is refused. */
  const subjects: Record<string, (other: string) => Record<string, string | null>> = {
    "the tenant": () => ({ scope: "tenant", tenant_id: tenantId, scope_id: tenantId }),
    "another tenant": (other) => ({ scope: "tenant", tenant_id: other, scope_id: other }),
    "a user": () => ({ scope: "user", tenant_id: tenantId, scope_id: userId }),
    "the platform": () => ({ scope: "platform", tenant_id: null, scope_id: null }),
    e2b: () => ({ resource_type: "e2b" }),
    all: () => ({ resource_type: "all" }),
    "a task": () => ({ task: "chat" }),
    "another task": () => ({ task: "summary" }),
    "a product": () => ({ product: "model" }),
    "another product": () => ({ product: "mini" }),
  };
  const names = Object.keys(subjects);
  const moves = names.flatMap((from) => names.filter((to) => to !== from).map((to) => [from, to]));

  it.each(moves)(
    "from %s to %s, and is right, or is refused with a reason and nothing changed",
    async (from, to) => {
      const other = await addTenant(sql, 1e6, 1);
      await sql`delete from spend.cost_quotas`;
      const base = {
        scope: "tenant",
        tenant_id: tenantId,
        scope_id: tenantId,
        resource_type: "llm",
        task: null,
        product: null,
      };
      const [quota] = await sql`
      insert into spend.cost_quotas ${sql({ ...base, ...subjects[from as string]?.(other), period: "month", limit_usd: 1000, slots: 2 })}
      returning *`;
      const open = await callsOfEveryFate(await collisions());
      open.push(...(await callsAt(["now"], 1, { tenant: other })));
      const own = (await reserve(sql, tenantId, userId, 1)).reservation_id as string;
      open.push(own);

      const moved = { ...base, ...subjects[to as string]?.(other) };
      const refusal = await sql`
      update spend.cost_quotas set ${sql(moved)} where id = ${quota?.id}`.then(
        () => null,
        (error) => error,
      );
      if (refusal !== null) {
        expect(refusal.code).toMatch(/^(PT4\d\d|22023)$/);
        expect(refusal.message).toMatch(/^[a-z]+(_[a-z]+)+$/);
        expect(refusal.hint).toMatch(/\w/);
        expect(await sql`select * from spend.cost_quotas`).toEqual([quota]);
      }
      await expectRight([tenantId, other]);
      await endAll(open, [tenantId, other]);
    },
  );
});

describe("A quota changes its shape beside a call", () => {
  const changes: Record<string, (quota: number) => Work> = {
    "another period": (quota) => (b) =>
      b`update spend.cost_quotas set period = 'week' where id = ${quota}`,
    "another resource type": (quota) => (b) =>
      b`update spend.cost_quotas set resource_type = 'all' where id = ${quota}`,
    "another task": (quota) => (b) =>
      b`update spend.cost_quotas set task = 'chat' where id = ${quota}`,
    deletion: (quota) => (b) => b`delete from spend.cost_quotas where id = ${quota}`,
    "another time zone": () => (b) =>
      b`update spend.tenants set time_zone = 'Asia/Kolkata' where id = ${tenantId}`,
    "another quota": () => (b) =>
      b`
      insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
      values ('tenant', ${tenantId}, 'all', 'day', 1000)`,
    "rebuilt balances": (quota) => (b) => b`select spend.rebuild_balances(${quota})`,
    "a lower limit": (quota) => (b) =>
      b`update spend.cost_quotas set limit_usd = 1 where id = ${quota}`,
    "more slots": (quota) => (b) => b`update spend.cost_quotas set slots = 7 where id = ${quota}`,
  };
  const firstCall = (a: Sql) =>
    a`select spend.reserve(${tenantId}, null, 'llm', ${a.json(usageOf(3))})`;

  it.each(Object.keys(changes))(
    "when the period's first call is open, and then comes %s: the call is counted",
    async (name) => {
      const quota = await addQuota(sql, {
        scope: "tenant",
        tenantId,
        limitUsd: 1000,
        period: "day",
        slots: 2,
      });
      await overlap(sql, firstCall, changes[name]?.(quota) as Work);
      await expectRight();
      const open = await sql`select id from spend.reservations where tenant_id = ${tenantId}`;
      expect(open).toHaveLength(1);
      await endAll(open.map(({ id }) => id));
    },
  );

  it.each(Object.keys(changes))(
    "when %s is in an open transaction, and then comes the period's first call: the call is counted",
    async (name) => {
      const quota = await addQuota(sql, {
        scope: "tenant",
        tenantId,
        limitUsd: 1000,
        period: "day",
        slots: 2,
      });
      await overlap(sql, changes[name]?.(quota) as Work, firstCall, true);
      await expectRight();
      const open = await sql`select id from spend.reservations where tenant_id = ${tenantId}`;
      await endAll(open.map(({ id }) => id));
    },
  );

  it.each(["settle", "release", "expire_reservations"])(
    "when %s is open, then another period comes: what it books is counted once",
    async (kind) => {
      const quota = await addQuota(sql, {
        scope: "tenant",
        tenantId,
        limitUsd: 1000,
        period: "day",
      });
      const id = (await reserve(sql, tenantId, null, 3)).reservation_id as string;
      const end = {
        settle: (a: Sql) => a`select spend.settle(${id}, ${a.json(usageOf(2))})`,
        release: (a: Sql) => a`select spend.release(${id})`,
        expire_reservations: (a: Sql) =>
          a`select spend_private.expire_reservations(10, now() + interval '1 hour')`,
      }[kind] as Work;
      await interleave(sql, end, changes["another period"]?.(quota) as Work);
      await expectRight();
      await endAll([id]);
    },
  );

  it("when a transaction that began before the change calls after it: the call counts in the new shape", async () => {
    const quota = await addQuota(sql, { scope: "tenant", tenantId, limitUsd: 1000, period: "day" });
    await reserve(sql, tenantId, null, 1);
    const a = await sql.reserve();
    try {
      await a`begin`;
      await a`select now()`;
      await sql`update spend.cost_quotas set period = 'month' where id = ${quota}`;
      await firstCall(a as unknown as Sql);
      await a`commit`;
    } finally {
      await a`rollback`;
      a.release();
    }
    await expectRight();
    await expectRoom(quota, 5);
  });

  it("when a transaction that began before the first call changes the shape after it: the call is counted", async () => {
    const quota = await addQuota(sql, { scope: "tenant", tenantId, limitUsd: 1000, period: "day" });
    const a = await sql.reserve();
    try {
      await a`begin`;
      await a`select now()`;
      await reserve(sql, tenantId, null, 3);
      await a`update spend.cost_quotas set period = 'month' where id = ${quota}`;
      await a`commit`;
    } finally {
      await a`rollback`;
      a.release();
    }
    await expectRight();
    await expectRoom(quota, 5);
  });
});
