// Maintenance beside bookings: partitions that are made under way, holds that expire, steps that commit.
import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addTenant, addTestModel, reserve, usageOf, verifyBalances } from "../support/spend.ts";
import { endsOrWaits, untilLockWaits, withSessions } from "./sessions.ts";

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

describe("The partition of a month that has begun, made beside bookings,", () => {
  /** Its events are in the default partition, as where nobody has run maintenance for months. */
  const dropThisMonth = (sql: Sql) =>
    sql.unsafe(`
      do $$
      declare
        v_name text := 'cost_events_' || to_char(now() at time zone 'UTC', 'YYYY_MM');
      begin
        perform set_config('spend.retention', 'on', true);
        lock table spend.cost_events in access exclusive mode;
        execute format('alter table spend.cost_events detach partition spend_private.%I', v_name);
        execute format('insert into spend_private.cost_events_default overriding system value select * from spend_private.%I', v_name);
        execute format('drop table spend_private.%I', v_name);
      end;
      $$`);
  const settle = (sql: Sql, id: string) =>
    sql`select status from spend.settle(${id}, ${sql.json(usageOf(1))})`.execute();
  const held = async (sql: Sql) => (await reserve(sql, tenantId, null, 1)).reservation_id as string;
  const makePartitions = (sql: Sql) => sql`select spend_private.ensure_partitions()`;

  it("makes a settle that comes wait, and be booked", async () => {
    const { sql } = database;
    await dropThisMonth(sql);
    const ids = await Promise.all([held(sql), held(sql), held(sql)]);
    const maker = await sql.reserve();
    try {
      await maker`begin`;
      await makePartitions(maker as unknown as Sql);
      const settling = Promise.all(ids.map((id) => settle(sql, id)));
      await untilLockWaits(sql, 3, "spend.settle");
      await maker`commit`;
      expect((await settling).flat()).toEqual(ids.map(() => ({ status: "settled" })));
    } finally {
      await maker`rollback`;
      maker.release();
    }
    expect(await verifyBalances(sql)).toEqual([]);
    const [row] = await sql`select count(*)::int as strayed from spend_private.cost_events_default`;
    expect(row?.strayed).toBe(0);
  });

  it("waits for a settle that came first, others queue behind it, and all are booked", async () => {
    const { sql } = database;
    await dropThisMonth(sql);
    const [first, second] = await Promise.all([held(sql), held(sql)]);
    const booker = await sql.reserve();
    try {
      await booker`begin`;
      await settle(booker as unknown as Sql, first as string);
      const making = makePartitions(sql).then(() => "made");
      await untilLockWaits(sql, 1, "ensure_partitions");
      // Another session's, whose quota the first one has locked: it waits for that or for the ledger.
      const settling = settle(sql, second as string);
      await untilLockWaits(sql, 1, "spend.settle");
      await booker`commit`;
      expect(await Promise.all([making, settling])).toMatchObject([
        "made",
        [{ status: "settled" }],
      ]);
    } finally {
      await booker`rollback`;
      booker.release();
    }
    const [row] = await sql`select count(*)::int as strayed from spend_private.cost_events_default`;
    expect(row?.strayed).toBe(0);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("fails none of eight connections that settle while it is made and taken away ten times", async () => {
    const { sql } = database;
    let isDone = false;
    const callers = Array.from({ length: 8 }, async () => {
      while (!isDone) await settle(sql, await held(sql));
    });
    try {
      for (let round = 0; round < 10; round++) {
        await dropThisMonth(sql);
        await makePartitions(sql);
      }
    } finally {
      isDone = true;
    }
    await Promise.all(callers);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("of a month ahead is made beside an open booking, which nobody waits for", async () => {
    const { sql } = database;
    const booker = await sql.reserve();
    try {
      await booker`begin`;
      await settle(booker as unknown as Sql, await held(sql));
      const [row] = await sql`
        select spend_private.ensure_partition((now() + interval '8 months')::date - extract(day from now() + interval '8 months')::int + 1) as made`;
      expect(row?.made).toBe(true);
      await booker`commit`;
    } finally {
      await booker`rollback`;
      booker.release();
    }
  });
});

describe("Expiry", () => {
  const expireAt = (id: string | null) => database.sql`
    update spend.reservations set created_at = now() - interval '2 hours', expires_at = now() - interval '1 hour'
    where id = ${id}`;
  const expire = async (rows: number) => {
    const [row] = await database.sql`select spend.expire_reservations(${rows}) as expired`;
    return row?.expired as number;
  };

  it("passes over a tenant whose quotas are being changed: a batch of three takes others' holds", async () => {
    const { sql } = database;
    const other = await addTenant(sql, 1_000_000, 8);
    for (let i = 0; i < 10; i++)
      await expireAt((await reserve(sql, tenantId, null, 1)).reservation_id);
    for (let i = 0; i < 3; i++) await expireAt((await reserve(sql, other, null, 1)).reservation_id);
    const changer = await sql.reserve();
    try {
      await changer`begin`;
      // The lock of a change excludes the one of calls: whichever that is.
      await changer`select spend_private.try_join_calls(spend_private.tenant_key(${tenantId}))`;
      await changer`
        select case l.objsubid
          when 1 then pg_advisory_xact_lock((l.classid::bigint << 32) + l.objid::bigint)
          else pg_advisory_xact_lock(l.classid::int, (l.objid::bigint - case when l.objid::bigint > 2147483647 then 4294967296 else 0 end)::int)
        end
        from pg_locks as l where l.pid = pg_backend_pid() and l.locktype = 'advisory'`;
      expect(await expire(3)).toBe(3);
      expect(
        await sql`
        select distinct tenant_id from spend.reservations where status = 'expired' and tenant_id in (${tenantId}, ${other})`,
      ).toEqual([{ tenant_id: other }]);
      expect(await expire(100)).toBe(0);
      await changer`rollback`;
    } finally {
      changer.release();
    }
    expect(await expire(100)).toBe(10);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("passes over a balance that somebody has locked: after 3 s the others' holds are booked, and no problem is recorded", async () => {
    const { sql } = database;
    const other = await addTenant(sql, 1_000_000, 1);
    await expireAt((await reserve(sql, other, null, 1)).reservation_id);
    await expireAt((await reserve(sql, tenantId, null, 1)).reservation_id);
    const holder = await sql.reserve();
    try {
      await holder`begin`;
      await holder`
        select from spend_private.quota_balances where tenant_id = ${other} for no key update`;
      expect(await expire(100)).toBe(1);
      await holder`rollback`;
    } finally {
      holder.release();
    }
    expect(await sql`select * from spend.problems where job = 'expire_reservations'`).toEqual([]);
    expect(await expire(100)).toBe(1);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});

describe("spend.maintain()", () => {
  it("waits nowhere for a change of the platform's quotas: such a change may wait for an alert that it has recorded", async () => {
    const { sql } = database;
    await withSessions(sql, 2, async (changer, maintainer) => {
      await changer.sql`begin`;
      await changer.sql`select spend_private.stop_calls(array[null::uuid])`;
      const maintaining = maintainer.sql`select spend.maintain() as done`.execute();
      expect(await endsOrWaits(sql, maintainer, maintaining)).toBe("ended");
      const [row] = await maintaining;
      expect(row?.done).toMatchObject({ record_alerts: 0, delete_reservations: null });
      await changer.sql`rollback`;
      const [after] = await maintainer.sql`select spend.maintain() as done`;
      expect(after?.done).toMatchObject({ delete_reservations: 0 });
    });
  });

  it("waits nowhere for a late settle in a period that is to be deleted: that period goes whole with the next run", async () => {
    const { sql } = database;
    const rowsOf = async () => {
      const [row] = await sql`
        select count(*)::int as count from spend_private.quota_balances where tenant_id = ${tenantId} and period_end < now()`;
      return row?.count as number;
    };
    await reserve(sql, tenantId, null, 1).then(
      ({ reservation_id }) => sql`select spend.release(${reservation_id})`,
    );
    await sql`
      update spend_private.quota_balances
      set period_start = now() - interval '3 years', period_end = now() - interval '2 years'
      where tenant_id = ${tenantId}`;
    expect(await rowsOf()).toBe(8);
    await withSessions(sql, 2, async (settler, maintainer) => {
      await settler.sql`begin`;
      await settler.sql`
        select from spend_private.quota_balances
        where tenant_id = ${tenantId} and slot = 3 for no key update`;
      const maintaining = maintainer.sql`select spend.maintain() as done`.execute();
      expect(await endsOrWaits(sql, maintainer, maintaining)).toBe("ended");
      expect((await maintaining)[0]?.done).toMatchObject({ delete_balances: 0 });
      expect(await rowsOf()).toBe(8);
      await settler.sql`rollback`;
      const [after] = await maintainer.sql`select spend.maintain() as done`;
      expect(after?.done).toMatchObject({ delete_balances: 8 });
    });
  });

  it.each<[string, (caller: Sql) => Promise<unknown>]>([
    ["an open call of a tenant", (caller) => reserve(caller, tenantId, null, 1)],
    [
      "a change of the platform's quotas beside a tenant",
      (caller) => caller`select spend_private.stop_calls(array[null::uuid])`,
    ],
    [
      "a repair of balances beside a tenant",
      (caller) => caller`select spend_private.stop_recounts()`,
    ],
  ])(
    "waits nowhere for %s whose plan has changed: the tenant follows with the next run",
    async (_, open) => {
      const { sql } = database;
      await sql`insert into spend.plans (id, name) values ('followed', 'Followed') on conflict do nothing`;
      await sql`update spend.tenants set plan_id = 'followed' where id = ${tenantId}`;
      await withSessions(sql, 2, async (caller, maintainer) => {
        // As a plan of more than 100 tenants has it.
        await sql`update spend.tenants set plan_version = -1 where id = ${tenantId}`;
        await caller.sql`begin`;
        await open(caller.sql);
        const maintaining = maintainer.sql`select spend.maintain() as done`.execute();
        expect(await endsOrWaits(sql, maintainer, maintaining)).toBe("ended");
        expect((await maintaining)[0]?.done).toMatchObject({ follow_plans: 0 });
        await caller.sql`rollback`;
        const [after] = await maintainer.sql`select spend.maintain() as done`;
        expect(after?.done).toMatchObject({ follow_plans: 1 });
      });
    },
  );
});

describe("spend.run_maintenance()", () => {
  it("commits after each step: 450 expired holds are booked, and nothing is locked while later jobs run", async () => {
    const { sql } = database;
    await sql`
      select spend_private.reserve(
        ${tenantId}, null, 'llm', ${sql.json(usageOf(0.5))}, p_now => now() - interval '1 hour'
      ) from generate_series(1, 450)`;
    const blocker = await sql.reserve();
    try {
      // The roll-ups' row is locked: maintenance waits there, after the money.
      await blocker`begin`;
      await blocker`select from spend_private.ledger_state for update`;
      const running = sql`call spend.run_maintenance(20)`.then(() => "done");
      await untilLockWaits(sql, 1, "run_maintenance");
      const [row] = await sql`
        select count(*)::int as held from spend.reservations where status = 'held' and tenant_id = ${tenantId}`;
      expect(row?.held).toBe(0);
      expect(await verifyBalances(sql)).toEqual([]);
      expect((await reserve(sql, tenantId, null, 1)).allowed).toBe(true);
      await blocker`commit`;
      expect(await running).toBe("done");
    } finally {
      blocker.release();
    }
  });
});
