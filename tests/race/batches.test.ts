// Batches: reserve_many and settle_many answer each element as reserve and settle do, in one transaction that locks every
// balance once and in the one order.
import { randomUUID } from "node:crypto";
import type { ISql, JSONValue, Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import {
  addQuota,
  addTenant,
  addTestModel,
  addUser,
  heldUsd,
  reserve,
  usageOf,
  verifyBalances,
} from "../support/spend.ts";
import { atOnce, deadlocks, type Session, untilWaits, withSessions } from "./sessions.ts";

type Element = Record<string, JSONValue>;
interface Failure {
  code: string;
  message: string;
  details: string | null;
  hint: string | null;
}
interface Reserved {
  allowed: boolean | null;
  reservation_id: string | null;
  estimated_cost_usd: string | null;
  reason: string | null;
  message: string | null;
  retry_after: number | null;
  quota: Record<string, unknown> | null;
  warnings: string | null;
  replayed: boolean | null;
  error: Failure | null;
}
interface Settled {
  reservation_id: string | null;
  status: string | null;
  cost_usd: string | null;
  is_estimated: boolean | null;
  error: Failure | null;
}

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 40 });
  sql = database.sql;
  await addTestModel(sql);
});
afterAll(() => database?.close());

async function reserveMany(on: ISql, calls: JSONValue) {
  return await on<Reserved[]>`select * from spend.reserve_many(${on.json(calls)})`;
}
async function settleMany(on: ISql, settlements: JSONValue) {
  return await on<Settled[]>`select * from spend.settle_many(${on.json(settlements)})`;
}

function call(tenant: string, user: string | null, usd: number, more: Element = {}): Element {
  return { tenant_id: tenant, user_id: user, resource_type: "llm", usage: usageOf(usd), ...more };
}
const settlement = (id: string | null, usd: number | null): Element => ({
  reservation_id: id,
  usage: usd === null ? null : usageOf(usd),
});
const idsOf = (answers: Reserved[]) => answers.map((answer) => answer.reservation_id as string);

/** A tenant with a member, who has a quota too. */
async function callers(limitUsd: number, slots = 1): Promise<{ tenant: string; user: string }> {
  const tenant = await addTenant(sql, limitUsd, slots);
  const user = await addUser(sql, tenant);
  await addQuota(sql, { scope: "user", tenantId: tenant, userId: user, limitUsd: 1000, slots: 1 });
  return { tenant, user };
}

describe("reserve_many", () => {
  it.each([1, 8])(
    "admits what fits, in the order given, and refuses the rest (%i slots)",
    async (slots) => {
      const { tenant, user } = await callers(10, slots);
      const answers = await reserveMany(
        sql,
        [4, 5, 3, 1, 0.5].map((usd) => call(tenant, user, usd)),
      );
      expect(answers.map(({ allowed }) => allowed)).toEqual([true, true, false, true, false]);
      expect(answers[2]).toMatchObject({ reason: "in_flight", error: null, replayed: false });
      expect(answers[2]?.quota).toBeTruthy();
      expect(await heldUsd(sql, tenant)).toBe(10);
      expect(await verifyBalances(sql)).toEqual([]);
    },
  );

  it("answers each as reserve does", async () => {
    const { tenant, user } = await callers(10, 4);
    const { tenant: other, user: stranger } = await callers(10);
    const closed = await callers(10);
    await sql`update spend.tenants set closed_at = now() where id = ${closed.tenant}`;
    const calls = [
      call(tenant, user, 1),
      call(tenant, user, 11),
      call(tenant, null, 2, {
        task: "summary",
        conversation_id: "c",
        path_id: "p",
        metadata: { a: 1 },
      }),
      call(tenant, stranger, 1),
      call(closed.tenant, null, 1),
      call(randomUUID(), null, 1),
      call(tenant, user, 1, {
        usage: { provider: "test", model: "none", input_tokens: 1, output_tokens: 1 },
      }),
      call(tenant, user, 1, { usage: { provider: "test", model: "model", input_tokens: -1 } }),
      call(tenant, user, 1, { ttl_seconds: 0 }),
      call(tenant, user, 1, { resource_type: "gpu" }),
      call(other, stranger, 10),
      call(tenant, user, 100, { enforce: false }),
    ];
    const alone = [];
    // Each by itself, and undone: what reserve says of it.
    for (const [place, element] of calls.entries()) {
      const answer = await sql
        .begin(async (tx) => {
          const rows = await tx`
            select a.allowed, a.estimated_cost_usd, a.reason, a.message, a.retry_after, a.quota::text, a.warnings::text
            from jsonb_to_record(${tx.json(element)}) as e (
              tenant_id uuid, user_id uuid, resource_type text, usage jsonb, task text, conversation_id text,
              path_id text, ttl_seconds integer, enforce boolean, metadata jsonb
            )
            cross join lateral spend.reserve(
              e.tenant_id, e.user_id, e.resource_type, e.usage, coalesce(e.task, 'chat'), e.conversation_id, e.path_id,
              null, coalesce(e.ttl_seconds, 600), coalesce(e.enforce, true), coalesce(e.metadata, '{}')
            ) as a`;
          throw { row: rows[0], place };
        })
        .catch((thrown) =>
          thrown.row
            ? { ...thrown.row, error: null }
            : { error: `${thrown.code} ${thrown.message} ${thrown.detail} ${thrown.hint}` },
        );
      alone.push(answer);
    }
    const together = await sql.begin(async (tx) => {
      const seen = [];
      // One by one, each undone: the others must not count.
      for (const element of calls) {
        await tx`savepoint one`;
        const [answer] = await tx`
          select allowed, estimated_cost_usd, reason, message, retry_after, quota::text, warnings::text, error
          from spend.reserve_many(${tx.json([element])})`;
        await tx`rollback to savepoint one`;
        const { error, ...rest } = answer ?? {};
        seen.push(
          error
            ? { error: `${error.code} ${error.message} ${error.details} ${error.hint}` }
            : { ...rest, error: null },
        );
      }
      return seen;
    });
    expect(together).toEqual(alone);
    expect(alone.filter(({ error }) => error !== null)).toHaveLength(7);

    const all = await reserveMany(sql, calls);
    expect(all.map(({ allowed, error }) => error?.message ?? allowed)).toEqual([
      true,
      false,
      true,
      "not_a_member",
      "tenant_closed",
      "not_a_member",
      "unpriced_product",
      "invalid_usage",
      "invalid_usage",
      "invalid_usage",
      true,
      true,
    ]);
    const [stored] = await sql`
      select task, conversation_id, path_id, metadata, user_id from spend.reservations where id = ${idsOf(all)[2] ?? ""}`;
    expect(stored).toEqual({
      task: "summary",
      conversation_id: "c",
      path_id: "p",
      metadata: { a: 1 },
      user_id: null,
    });
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it.each<[string, JSONValue, string]>([
    ["no array", {}, "calls is not an array"],
    ["an empty array", [], "calls is not an array"],
    ["too many", Array.from({ length: 101 }, () => ({})), "calls is not an array"],
  ])("refuses %s as a whole", async (_, calls, hint) => {
    await expect(reserveMany(sql, calls)).rejects.toMatchObject({
      code: "22023",
      message: "invalid_usage",
      hint: expect.stringContaining(hint),
    });
  });

  it("names what is wrong with an element, and goes on with the others", async () => {
    const { tenant, user } = await callers(10);
    const answers = await reserveMany(sql, [
      7,
      null,
      call(tenant, user, 1, { ttl: 5 }),
      call("nobody", user, 1),
      call(tenant, user, 1, { ttl_seconds: "soon" }),
      call(tenant, user, 1),
    ]);
    expect(answers.map(({ error }) => error && `${error.code} ${error.message}`)).toEqual([
      "22023 invalid_usage",
      "22023 invalid_usage",
      "22023 invalid_usage",
      '22P02 invalid input syntax for type uuid: "nobody"',
      '22P02 invalid input syntax for type integer: "soon"',
      null,
    ]);
    expect(answers[2]?.error?.hint).toContain("ttl is not a known key");
    const { error: _, ...rest } = answers[2] as Reserved;
    expect(new Set(Object.values(rest))).toEqual(new Set([null]));
    expect(await heldUsd(sql, tenant)).toBe(1);
  });

  it("says of calls without a tenant what reserve says", async () => {
    const answers = await reserveMany(sql, [{ resource_type: "llm", usage: usageOf(1) }]);
    expect(answers[0]?.error).toMatchObject({ code: "42501", message: "not_a_member" });
  });

  it("counts its own holds when it says when to try again", async () => {
    const { tenant, user } = await callers(10);
    const [, refused] = await reserveMany(sql, [call(tenant, user, 8), call(tenant, user, 8)]);
    expect(refused).toMatchObject({ reason: "in_flight" });
    expect(refused?.retry_after).toBeGreaterThan(20);
  });

  it("gives the stored answer to an idempotency key, within a batch too", async () => {
    const { tenant, user } = await callers(10);
    const key = { idempotency_key: "one" };
    const [first] = await reserveMany(sql, [call(tenant, user, 1, key)]);
    const answers = await reserveMany(sql, [
      call(tenant, user, 1, key),
      call(tenant, user, 2, key),
      call(tenant, user, 3, { idempotency_key: "two" }),
      call(tenant, user, 3, { idempotency_key: "two" }),
      call(tenant, user, 4, { idempotency_key: "two" }),
      call(tenant, user, 99, { idempotency_key: "large" }),
      call(tenant, user, 99, { idempotency_key: "large" }),
    ]);
    expect(answers.map(({ replayed, error }) => error?.message ?? replayed)).toEqual([
      true,
      "idempotency_conflict",
      false,
      true,
      "idempotency_conflict",
      false,
      true,
    ]);
    expect(answers[0]?.reservation_id).toBe(first?.reservation_id);
    expect(answers[3]?.reservation_id).toBe(answers[2]?.reservation_id);
    expect(answers[6]).toMatchObject({ allowed: false, reason: "exceeds_limit" });
    expect(await heldUsd(sql, tenant)).toBe(4);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("marks the prices of all its calls as used, so that they cannot change", async () => {
    const { tenant } = await callers(10);
    await addTestModel(sql, "test", "first");
    await addTestModel(sql, "test", "second");
    const usage = (model: string) => ({ usage: usageOf(1, { model }) });
    const answers = await reserveMany(
      sql,
      ["first", "second", "first"].map((model) => call(tenant, null, 1, usage(model))),
    );
    expect(answers.map(({ allowed }) => allowed)).toEqual([true, true, true]);
    const [unused] = await sql`
      select count(*)::int as rows from spend.prices
      where product in ('first', 'second') and first_used_at is null`;
    expect(unused?.rows).toBe(0);
  });

  it("holds nothing in a quota for a call that another refuses, and lets a later one have that room", async () => {
    const { tenant, user } = await callers(5);
    const poor = await addUser(sql, tenant);
    await addQuota(sql, { scope: "user", tenantId: tenant, userId: poor, limitUsd: 2, slots: 1 });
    const answers = await reserveMany(sql, [
      call(tenant, user, 4),
      call(tenant, poor, 1.5),
      call(tenant, poor, 1),
      call(tenant, poor, 0.4),
    ]);
    // The tenant has no room for the second, so the poor one still has room for the third.
    expect(answers.map(({ allowed }) => allowed)).toEqual([true, false, true, false]);
    expect(await verifyBalances(sql)).toEqual([]);
    const [held] = await sql`
      select reserved_usd::float8 as usd from spend.quota_status where scope = 'user' and scope_id = ${poor}`;
    expect(held?.usd).toBe(1);
  });

  it("warns and alerts as reserve and settle do", async () => {
    const { tenant, user } = await callers(10);
    const [a, b] = await reserveMany(sql, [call(tenant, user, 5), call(tenant, user, 4)]);
    const warned = await sql`
      select (w).estimated_cost_usd::float8 as usd, (w).scope
      from spend.reservations as r cross join lateral unnest(r.warnings) as w
      where r.tenant_id = ${tenant} order by 1`;
    expect(warned).toEqual([
      { usd: 4, scope: "tenant" },
      { usd: 5, scope: "tenant" },
    ]);
    await settleMany(sql, [
      settlement(a?.reservation_id as string, 5),
      settlement(b?.reservation_id as string, 4),
    ]);
    await reserveMany(sql, [call(tenant, user, 2)]);
    const alerts = await sql`
      select kind, threshold::float8, caused_by_tenant_id = ${tenant} as is_ours from spend.alerts
      where tenant_id = ${tenant} order by threshold`;
    expect(alerts).toEqual([
      { kind: "quota_warning", threshold: 0.8, is_ours: true },
      { kind: "quota_exceeded", threshold: 0.8, is_ours: true },
    ]);
    const [counted] = await sql`
      select refusals::int from spend.refusals_by_hour where tenant_id = ${tenant}`;
    expect(counted?.refusals).toBe(1);
  });

  it("admits exactly what fits while sixteen sessions send batches", async () => {
    const { tenant } = await callers(100, 8);
    const users = await Promise.all(Array.from({ length: 4 }, () => addUser(sql, tenant)));
    for (const user of users) {
      await addQuota(sql, {
        scope: "user",
        tenantId: tenant,
        userId: user,
        limitUsd: 1000,
        slots: 1,
      });
    }
    const before = await deadlocks(sql);
    const admitted = await withSessions(sql, 16, async (...sessions) => {
      const counts = await Promise.all(
        sessions.map(async (session, number) => {
          let count = 0;
          for (let round = 0; round < 5; round++) {
            const calls = Array.from({ length: 10 }, (_, place) =>
              call(tenant, users[(number + place) % users.length] as string, 1),
            );
            // Some are sent singly, as others may.
            const answers: { allowed: boolean | null }[] =
              number % 4 === 3
                ? await Promise.all(
                    calls.map((each) => reserve(session.sql, tenant, each.user_id as string, 1)),
                  )
                : await reserveMany(session.sql, calls);
            count += answers.filter(({ allowed }) => allowed).length;
          }
          return count;
        }),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    });
    expect(admitted).toBe(100);
    expect(await heldUsd(sql, tenant)).toBe(100);
    expect(await deadlocks(sql)).toBe(before);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("fails only the calls of a tenant whose quotas are being changed", async () => {
    const busy = await callers(10);
    const calm = await callers(10);
    await withSessions(sql, 1, async (session) => {
      await session.sql`begin`;
      await session.sql`
        update spend.cost_quotas set limit_usd = 20 where tenant_id = ${busy.tenant} and scope = 'tenant'`;
      const answers = await reserveMany(sql, [
        call(busy.tenant, null, 1),
        call(calm.tenant, null, 1),
      ]);
      expect(answers.map(({ allowed, error }) => error?.code ?? allowed)).toEqual(["55P03", true]);
    });
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("holds nothing for a tenant that is getting a quota, which would not count it", async () => {
    const busy = await callers(10);
    const calm = await callers(10);
    await reserveMany(sql, [call(busy.tenant, null, 1), call(calm.tenant, null, 1)]);
    await withSessions(sql, 1, async (session) => {
      await session.sql`begin`;
      await addQuota(session.sql, {
        scope: "tenant",
        tenantId: busy.tenant,
        resourceType: "all",
        limitUsd: 5,
      });
      const answers = await reserveMany(sql, [
        call(busy.tenant, null, 1),
        call(calm.tenant, null, 1),
      ]);
      expect(answers.map(({ allowed, error }) => error?.code ?? allowed)).toEqual(["55P03", true]);
      await session.sql`commit`;
    });
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("fails only the calls whose balance stays locked", { timeout: 60_000 }, async () => {
    const stuck = await callers(10);
    const calm = await callers(10);
    await reserve(sql, stuck.tenant, stuck.user, 1);
    await reserve(sql, calm.tenant, calm.user, 1);
    await withSessions(sql, 1, async (session) => {
      await session.sql`begin`;
      await reserve(session.sql, stuck.tenant, null, 1);
      const answers = await reserveMany(sql, [
        call(stuck.tenant, stuck.user, 1),
        call(calm.tenant, calm.user, 1),
        call(stuck.tenant, null, 1),
      ]);
      expect(answers.map(({ allowed, error }) => error?.code ?? allowed)).toEqual([
        "55P03",
        true,
        "55P03",
      ]);
      await session.sql`commit`;
    });
    expect(await heldUsd(sql, calm.tenant)).toBe(2);
    expect(await heldUsd(sql, stuck.tenant)).toBe(2);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("waits once, however many balances stay locked", { timeout: 60_000 }, async () => {
    const all = await Promise.all(Array.from({ length: 12 }, () => callers(10)));
    for (const { tenant, user } of all) await reserve(sql, tenant, user, 1);
    await withSessions(sql, 1, async (session) => {
      await session.sql`begin`;
      for (const { tenant } of all.slice(1)) await reserve(session.sql, tenant, null, 1);
      // Twelve waits would take six seconds; the gate gives up after five.
      const answers = await atOnce(sql, (tx) =>
        reserveMany(
          tx,
          all.map(({ tenant, user }) => call(tenant, user, 1)),
        ),
      );
      expect(answers.map(({ allowed, error }) => error?.code ?? allowed)).toEqual([
        true,
        ...Array(11).fill("55P03"),
      ]);
      await session.sql`commit`;
    });
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("opens a new period once, beside a call that does the same", async () => {
    const { tenant, user } = await callers(10, 4);
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      await reserve(a.sql, tenant, user, 1);
      const waiting = reserveMany(b.sql, [call(tenant, user, 1), call(tenant, null, 2)]);
      await untilWaits(sql, b);
      await a.sql`commit`;
      expect((await waiting).map(({ allowed }) => allowed)).toEqual([true, true]);
    });
    expect(await heldUsd(sql, tenant)).toBe(4);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});

describe("settle_many", () => {
  const states = async (ids: string[]) =>
    (
      await sql`
        select r.id, r.status, r.actual_cost_usd::float8 as usd from spend.reservations as r where r.id = any (${ids})`
    ).map(({ id, status, usd }) => ({ place: ids.indexOf(id), status, usd }));

  it("charges each in full, whatever it was", async () => {
    const { tenant, user } = await callers(100, 4);
    const held = await reserveMany(
      sql,
      Array.from({ length: 9 }, () => call(tenant, user, 2)),
    );
    const ids = idsOf(held);
    await sql`select spend.settle(${ids[3] as string}, ${sql.json(usageOf(1))})`;
    await sql`select spend.release(${ids[4] as string})`;
    await sql`update spend.reservations set expires_at = created_at + interval '1 microsecond' where id = ${ids[5] as string}`;
    await sql`select spend.expire_reservations()`;
    const unknown = randomUUID();
    const answers = await settleMany(sql, [
      settlement(ids[0] as string, 1),
      settlement(ids[1] as string, 3),
      settlement(ids[2] as string, null),
      settlement(ids[3] as string, 2),
      settlement(ids[4] as string, 2),
      settlement(ids[5] as string, 0.5),
      { reservation_id: ids[6] as string, usage: { input_tokens: -1 } },
      settlement(ids[6] as string, 2),
      settlement(ids[0] as string, 2),
      settlement(unknown, 1),
      { usage: {} },
      { reservation_id: ids[7] as string, usage: usageOf(1), metadata: [] },
      { reservation_id: ids[7] as string, cost: 1 },
      settlement(ids[8] as string, 0),
    ]);
    expect(
      answers.map(
        ({ cost_usd, error }) => (error && `${error.code} ${error.message}`) || Number(cost_usd),
      ),
    ).toEqual([
      1,
      3,
      2,
      1,
      2,
      0.5,
      "22023 invalid_usage",
      2,
      1,
      "PT404 unknown_reservation",
      "PT404 unknown_reservation",
      "22023 invalid_usage",
      "22023 invalid_usage",
      0,
    ]);
    expect(answers[9]?.reservation_id).toBe(unknown);
    expect(answers[2]?.is_estimated).toBe(true);
    expect(
      (await states(ids))
        .sort((a, b) => a.place - b.place)
        .map(({ status, usd }) => `${status} ${usd}`),
    ).toEqual([
      "settled 1",
      "settled 3",
      "settled 2",
      "settled 1",
      "settled 2",
      "settled 0.5",
      "settled 2",
      "held null",
      "settled 0",
    ]);
    const [ledger] = await sql`
      select sum(cost_usd)::float8 as usd, sum(calls)::int as calls from spend.cost_events where tenant_id = ${tenant}`;
    expect(ledger).toEqual({ usd: 11.5, calls: 8 });
    expect(await verifyBalances(sql)).toEqual([]);
    // Again: the same, and nothing more.
    const again = await settleMany(sql, [
      settlement(ids[0] as string, 2),
      settlement(ids[1] as string, 2),
    ]);
    expect(again.map(({ cost_usd }) => Number(cost_usd))).toEqual([1, 3]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("goes on where one of them cannot be booked", async () => {
    const damaged = await callers(10);
    const sound = await callers(10);
    const ids = idsOf(
      await reserveMany(sql, [
        call(damaged.tenant, damaged.user, 2),
        call(sound.tenant, sound.user, 2),
        call(damaged.tenant, null, 2),
      ]),
    );
    await sql`
      update spend_private.quota_balances set reserved_usd = 0 where tenant_id = ${damaged.tenant}`;
    const answers = await settleMany(
      sql,
      ids.map((id) => settlement(id, 1)),
    );
    expect(answers.map(({ cost_usd, error }) => error?.code ?? Number(cost_usd))).toEqual([
      "23514",
      1,
      "23514",
    ]);
    await sql`
      update spend_private.quota_balances as b set reserved_usd = q.usd
      from (
        select h.quota_id, h.period_start, h.slot, sum(r.estimated_cost_usd) as usd
        from spend.reservations as r cross join lateral unnest(r.holds) as h
        where r.tenant_id = ${damaged.tenant} and r.status = 'held' group by 1, 2, 3
      ) as q
      where b.quota_id = q.quota_id and b.period_start = q.period_start and b.slot = q.slot`;
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it.each([
    [3, 1],
    [1, 3],
  ])("books the first of two settlements of one call: $%i, not $%i", async (first, second) => {
    const { tenant, user } = await callers(10);
    const [id] = idsOf(await reserveMany(sql, [call(tenant, user, 2)]));
    const answers = await settleMany(sql, [
      settlement(id as string, first),
      settlement(id as string, second),
    ]);
    expect(answers.map(({ cost_usd }) => Number(cost_usd))).toEqual([first, first]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("leaves alone what another transaction has locked", async () => {
    const { tenant, user } = await callers(100, 4);
    const ids = idsOf(await reserveMany(sql, [call(tenant, user, 2), call(tenant, null, 2)]));
    await withSessions(sql, 1, async (session) => {
      await session.sql`begin`;
      await session.sql`select from spend.reservations where id = ${ids[0] as string} for update`;
      const answers = await settleMany(
        sql,
        ids.map((id) => settlement(id, 1)),
      );
      expect(answers.map(({ cost_usd, error }) => error?.code ?? Number(cost_usd))).toEqual([
        "55P03",
        1,
      ]);
    });
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("leaves no room in any slot when a call costs all that its tenant may spend", async () => {
    const { tenant, user } = await callers(10, 8);
    const ids = idsOf(await reserveMany(sql, [call(tenant, user, 1), call(tenant, user, 1)]));
    const answers = await settleMany(sql, [
      settlement(ids[0] as string, 1),
      settlement(ids[1] as string, 9),
    ]);
    expect(answers.map(({ cost_usd }) => Number(cost_usd))).toEqual([1, 9]);
    const next = await Promise.all(
      Array.from({ length: 8 }, () => reserve(sql, tenant, null, 0.1)),
    );
    expect(next.map(({ allowed }) => allowed)).toEqual(Array(8).fill(false));
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("settles the others where a balance stays locked", async () => {
    const stuck = await callers(10);
    const calm = await callers(10);
    const ids = idsOf(
      await reserveMany(sql, [
        call(stuck.tenant, stuck.user, 2),
        call(calm.tenant, calm.user, 2),
        call(stuck.tenant, null, 2),
      ]),
    );
    await withSessions(sql, 1, async (session) => {
      await session.sql`begin`;
      await reserve(session.sql, stuck.tenant, null, 1);
      const answers = await settleMany(
        sql,
        ids.map((id) => settlement(id, 1)),
      );
      expect(answers.map(({ cost_usd, error }) => error?.code ?? Number(cost_usd))).toEqual([
        "55P03",
        1,
        "55P03",
      ]);
      await session.sql`commit`;
    });
    const [first] = await settleMany(sql, [settlement(ids[0] as string, 1)]);
    expect(first?.status).toBe("settled");
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("does not wait for a balance out of order: who costs more than it held is told to try again", async () => {
    const { tenant, user } = await callers(100, 4);
    const ids = idsOf(await reserveMany(sql, [call(tenant, null, 2), call(tenant, user, 2)]));
    const [held] = await sql`
      select (holds[cardinality(holds)]).slot from spend.reservations where id = ${ids[0] as string}`;
    await withSessions(sql, 8, async (...sessions) => {
      // One that begins at another slot of the tenant.
      const session = sessions.find(({ pid }) => pid % 4 !== held?.slot) as Session;
      await session.sql`begin`;
      await reserve(session.sql, tenant, user, 1);
      const answers = await atOnce(sql, (tx) =>
        settleMany(tx, [settlement(ids[0] as string, 1), settlement(ids[1] as string, 3)]),
      );
      expect(answers.map(({ cost_usd, error }) => error?.code ?? Number(cost_usd))).toEqual([
        1,
        "55P03",
      ]);
      await session.sql`commit`;
    });
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("deadlocks with nobody while batches of many tenants are held and settled in any order", {
    timeout: 90_000,
  }, async () => {
    const all = await Promise.all(Array.from({ length: 6 }, () => callers(1000, 2)));
    await addQuota(sql, { scope: "platform", limitUsd: 100_000, slots: 2 });
    const before = await deadlocks(sql);
    try {
      await withSessions(sql, 12, async (...sessions) => {
        await Promise.all(
          sessions.map(async (session, number) => {
            for (let round = 0; round < 12; round++) {
              const calls = Array.from({ length: 8 }, (_, place) => {
                const { tenant, user } = all[
                  (number * 5 + place * ((round % 3) + 1)) % all.length
                ] as (typeof all)[0];
                return call(tenant, place % 3 === 0 ? null : user, 1);
              });
              const answers = await reserveMany(session.sql, calls);
              const held = answers.filter(({ allowed }) => allowed);
              let open = idsOf(held);
              if (number % 3 === 0) open.reverse();
              for (let attempt = 0; open.length > 0 && attempt < 200; attempt++) {
                const settled = await settleMany(
                  session.sql,
                  open.map((id, place) => settlement(id, place % 4 === 0 ? 1.5 : 0.5)),
                );
                open = settled
                  .filter(({ error }) => error?.code === "55P03")
                  .map(({ reservation_id }) => reservation_id as string);
              }
              expect(open).toEqual([]);
            }
          }),
        );
      });
      expect(await deadlocks(sql)).toBe(before);
      const [left] =
        await sql`select count(*)::int as held from spend.reservations where status = 'held' and tenant_id = any (${all.map(({ tenant }) => tenant)})`;
      expect(left?.held).toBe(0);
      expect(await verifyBalances(sql)).toEqual([]);
    } finally {
      await sql`delete from spend.cost_quotas where scope = 'platform'`;
    }
  });
});
