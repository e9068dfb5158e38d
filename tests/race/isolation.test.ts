// No tenant makes another one wait: while a change of one tenant is open, all calls of another go on, and an open
// call does not delay the change.
import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import {
  addQuota,
  addTestModel,
  addUser,
  followPlans,
  reserve,
  usageOf,
  verifyBalances,
} from "../support/spend.ts";
import { endsOrWaits, type Session, type Work, withSessions } from "./sessions.ts";

let database: TestDatabase;
let sql: Sql;
const plan = "plan of the first";
/** The tenant that is changed while `other` makes calls. */
let changed: string;
let other: string;
let owner: string;
let member: string;
let stranger: string;
let otherUser: string;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 12 });
  sql = database.sql;
  await addTestModel(sql);
  await sql`insert into spend.plans (id, name) values (${plan}, 'Plan'), ('another', 'Another'), ('third', 'Third')`;
  await sql`
    insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
    values (${plan}, 'tenant', 'llm', 'month', 1000), (${plan}, 'user', 'llm', 'day', 100),
      ('third', 'tenant', 'llm', 'month', 1000), ('third', 'user', 'llm', 'day', 100),
      ('another', 'tenant', 'llm', 'day', 1000), ('another', 'user', 'all', 'week', 100)`;
  const tenants = await sql`
    insert into spend.tenants (name, plan_id) values ('Changed', ${plan}), ('Other', 'third') returning id`;
  [changed, other] = tenants.map(({ id }) => id) as [string, string];
  owner = await addUser(sql, changed);
  await sql`update spend.tenant_members set role = 'owner' where user_id = ${owner}`;
  member = await addUser(sql, changed);
  otherUser = await addUser(sql, other);
  const [user] = await sql`insert into auth.users (id) values (gen_random_uuid()) returning id`;
  stranger = user?.id;
  await addQuota(sql, { scope: "platform", resourceType: "all", limitUsd: 1e6, slots: 4 });
  for (const [tenantId, userId] of [
    [changed, member],
    [other, otherUser],
  ] as const) {
    for (let call = 0; call < 50; call++) await reserve(sql, tenantId, userId, 0.1);
  }
});
afterAll(() => database?.close());

/** As the changed tenant's owner, by SQL of his own. */
const asOwner =
  (work: Work): Work =>
  async (s) => {
    await s`select set_config('request.jwt.claims', ${JSON.stringify({ sub: owner, role: "authenticated" })}, true)`;
    await s`set local role authenticated`;
    const rows = await work(s);
    await s`reset role`;
    return rows;
  };

const actions: Record<string, Work> = {
  "its owner adds a user quota": asOwner(
    (s) => s`
    insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
    values ('user', ${changed}, ${member}, 'llm', 'month', 10)`,
  ),
  "its owner changes a limit": asOwner(
    (s) => s`
    update spend.cost_quotas set limit_usd = 5 where tenant_id = ${changed} and scope = 'user'`,
  ),
  "its owner removes user quotas": asOwner(
    (s) => s`
    delete from spend.cost_quotas where tenant_id = ${changed} and scope = 'user'`,
  ),
  "its quota gets another period": (s) => s`
    update spend.cost_quotas set period = 'week' where tenant_id = ${changed} and scope = 'tenant'`,
  "its quota gets another resource type": (s) => s`
    update spend.cost_quotas set resource_type = 'all' where tenant_id = ${changed} and scope = 'tenant'`,
  "its limit changes": (s) => s`
    update spend.cost_quotas set limit_usd = 500 where tenant_id = ${changed} and scope = 'tenant'`,
  "its quota gets more slots": (s) => s`
    update spend.cost_quotas set slots = 20 where tenant_id = ${changed} and scope = 'tenant'`,
  "its quota is deleted": (s) =>
    s`delete from spend.cost_quotas where tenant_id = ${changed} and scope = 'tenant'`,
  "a quota is added to it": (s) => s`
    insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
    values ('tenant', ${changed}, 'all', 'day', 1000)`,
  "its balances are rebuilt": (s) => s`
    select spend.rebuild_balances(q.id) from spend.cost_quotas as q where q.tenant_id = ${changed}`,
  "its time zone changes": (s) =>
    s`update spend.tenants set time_zone = 'Asia/Tokyo' where id = ${changed}`,
  "it goes to another plan": (s) =>
    s`update spend.tenants set plan_id = 'another' where id = ${changed}`,
  "it is closed": (s) => s`update spend.tenants set closed_at = now() where id = ${changed}`,
  "a member joins it": (s) => s`
    insert into spend.tenant_members (tenant_id, user_id) values (${changed}, ${stranger})`,
  "a member leaves it": (s) =>
    s`delete from spend.tenant_members where tenant_id = ${changed} and user_id = ${member}`,
  "a member of it becomes somebody else": (s) => s`
    update spend.tenant_members set user_id = ${stranger}
    where tenant_id = ${changed} and user_id = ${member}`,
  "its quotas are brought in line": (s) => s`select spend.ensure_quotas(${changed})`,
  "a tenant is created": (s) =>
    s`insert into spend.tenants (name, plan_id) values ('New', ${plan})`,
  "a tenant is created and deleted": async (s) => {
    const [tenant] = await s`
      insert into spend.tenants (name, plan_id) values ('New', ${plan}) returning id`;
    return s`delete from spend.tenants where id = ${tenant?.id}`;
  },
  "the plan's limits change": (s) =>
    s`update spend.plan_quotas set limit_usd = limit_usd + 1 where plan_id = ${plan}`,
  "a quota is added to the plan": (s) => s`
    insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
    values (${plan}, 'tenant', 'all', 'day', 1000)`,
  "a quota is dropped from the plan": (s) =>
    s`delete from spend.plan_quotas where plan_id = ${plan} and scope = 'user'`,
};

/** Each of another tenant's calls, one after the other. Any that waits fails: 55P03 after 3 s, or the test's end. */
async function allCalls(s: Sql): Promise<void> {
  const usage = (usd: number) => s.json(usageOf(usd));
  const held = async () => {
    const [row] = await s`
      select allowed, reservation_id as id from spend.reserve(${other}, ${otherUser}, 'llm', ${usage(1)}, ttl_seconds => 1)`;
    expect(row?.allowed).toBe(true);
    return row?.id as string;
  };
  await s`select spend.settle(${await held()}, ${usage(0.5)})`;
  await s`select spend.settle(${await held()}, ${usage(2)})`;
  await s`select spend.release(${await held()})`;
  await s`select spend.extend(${await held()}, ${usage(1.5)})`;
  await s`select spend.check_quota(${other}, ${otherUser}, 'llm', ${usage(1)})`;
  await s`select spend.adjust(${other}, -1, 'test', 'llm', ${otherUser})`;
  const claim = randomUUID();
  const [context] = await s`
    select context_id as id from spend.claim_context(${other}, ${otherUser}, ${randomUUID()}, ${claim})`;
  await s`
    select spend.confirm_context(${other}, ${context?.id}, ${claim}, ${randomUUID()},
      now() - interval '10 seconds', now() + interval '5 minutes', 2, 0.5)`;
  await s`select spend.end_context(${other}, ${context?.id}, 'terminated', 'test')`;
  const late = await held();
  await s`select spend_private.expire_reservations(1000, now() + interval '1 day')`;
  const [expired] = await s`select status from spend.reservations where id = ${late}`;
  expect(expired?.status).toBe("expired");
}

describe("Calls of one tenant go on while another tenant is changed", () => {
  it.each(Object.keys(actions))(
    "when %s in a transaction that is open: no call of the first tenant waits",
    async (name) => {
      await withSessions(sql, 2, async (a, b) => {
        await (a as Session).sql`begin`;
        await actions[name]?.((a as Session).sql);
        const made = allCalls((b as Session).sql);
        made.catch(() => {});
        // They end while A's transaction is open, or not at all.
        await made;
        await (a as Session).sql`rollback`;
      });
      expect(await verifyBalances(sql)).toEqual([]);
    },
  );

  it.each(Object.keys(actions))(
    "and when a call of the first tenant is open, %s without waiting for it",
    async (name) => {
      await withSessions(sql, 2, async (a, b) => {
        await (a as Session).sql`begin`;
        await (a as Session)
          .sql`select spend.reserve(${other}, ${otherUser}, 'llm', ${sql.json(usageOf(1))})`;
        await (b as Session).sql`begin`;
        const action = actions[name]?.((b as Session).sql) as Promise<unknown>;
        action.catch(() => {});
        // A wait for the platform's row is the only one there may be: the call has a slot of it, the other slots are free.
        expect(await endsOrWaits(sql, b as Session, action)).toBe("ended");
        await action;
      });
      expect(await verifyBalances(sql)).toEqual([]);
    },
  );
});

describe("An owner who changes his users' quotas in a loop", () => {
  it("of 40 additions and deletions, with 1,000 calls of his own, lets none of another tenant's calls wait", async () => {
    await sql`
      select spend_private.reserve(${changed}, ${member}, 'llm', ${sql.json(usageOf(0.01))}, p_enforce => false)
      from generate_series(1, 1000)`;
    await withSessions(sql, 3, async (a, b, watcher) => {
      if (!a || !b || !watcher) throw new Error("three sessions are needed");
      let isOver = false;
      const loop = (async () => {
        for (let round = 0; round < 40; round++) {
          for (const name of ["its owner adds a user quota", "its owner removes user quotas"]) {
            await a.sql`begin`;
            await actions[name]?.(a.sql);
            await a.sql`commit`;
          }
        }
      })().finally(() => {
        isOver = true;
      });
      const waits: unknown[] = [];
      const watch = (async () => {
        while (!isOver) {
          const rows = await watcher.sql`
            select l.locktype, l.mode, l.relation::regclass::text as relation, s.query
            from pg_locks as l
            join pg_stat_activity as s using (pid)
            where l.pid = ${b.pid} and not l.granted and ${a.pid} = any (pg_blocking_pids(l.pid))
              -- Two that lengthen one file take turns for an instant, whoever's rows they write.
              and l.locktype <> 'extend'`;
          waits.push(...rows);
        }
      })();
      // However many calls a slow loop lets him make, they fit his limit.
      let calls = 0;
      for (; !isOver; calls++) {
        const { reservation_id } = await reserve(b.sql, other, otherUser, 0.0001);
        await b.sql`select spend.settle(${reservation_id}, ${b.sql.json(usageOf(0.0001))})`;
      }
      await Promise.all([loop, watch]);
      expect(waits).toEqual([]);
      expect(calls).toBeGreaterThan(0);
    });
    await followPlans(sql);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});
