// Two plans, two tenants with members, and a history of calls at the moments where periods begin; and what must hold
// after everything that is done to them.
import { randomBytes } from "node:crypto";
import type { Sql } from "postgres";
import { expect } from "vitest";
import { addTestModel, maintain, usageOf, verifyBalances } from "../support/spend.ts";
import type { Dice, World } from "./operations.ts";
import {
  leftOverQuotas,
  missingPlanQuotas,
  openCalls,
  wrongCalls,
  wrongQuotas,
  wrongReports,
} from "./oracle.ts";

export async function createWorld(sql: Sql, dice: Dice): Promise<World> {
  const name = randomBytes(4).toString("hex");
  const plans = [`${name}-a`, `${name}-b`];
  const provider = `test-${name}`;
  await addTestModel(sql, provider, "model");
  await addTestModel(sql, provider, "mini");
  const users = await sql`
    insert into auth.users (id) select gen_random_uuid() from generate_series(1, 4) returning id`;
  await sql`insert into spend.plans (id, name) select p, p from unnest(${plans}::text[]) as p`;
  await sql`
    insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd, slots)
    values
      (${plans[0] as string}, 'tenant', 'all', 'month', ${50 + dice.usd(300)}, ${1 + dice.below(9)}),
      (${plans[0] as string}, 'user', 'llm', 'day', ${20 + dice.usd(100)}, 1),
      (${plans[1] as string}, 'tenant', 'llm', 'week', ${50 + dice.usd(300)}, 3)`;
  const tenants = await sql`
    insert into spend.tenants (name, plan_id, time_zone)
    values ('One', ${plans[0] as string}, 'UTC'), ('Two', ${plans[0] as string}, 'Asia/Kolkata')
    returning id`;
  const world: World = {
    provider,
    plans,
    users: users.map(({ id }) => id),
    tenants: tenants.map(({ id }) => id),
    calls: [],
    contexts: [],
  };
  await sql`
    insert into spend.tenant_members (tenant_id, user_id, role)
    select t, u.id, case u.number when 1 then 'owner' else 'member' end
    from unnest(${world.tenants}::uuid[]) as t
    cross join unnest(${world.users.slice(0, 3)}::uuid[]) with ordinality as u (id, number)`;
  await sql`
    insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, slots)
    select 'tenant', t, 'llm', ${dice.pick(["hour", "day", "week", "lifetime"])}, ${50 + dice.usd(300)}, ${1 + dice.below(9)}
    from unnest(${world.tenants}::uuid[]) as t`;
  await addHistory(sql, world, dice);
  // After the history: a quota never met calls of days before it was made.
  await sql`
    insert into spend.cost_quotas (scope, resource_type, period, limit_usd, slots)
    values ('platform', 'all', 'day', 10000, 4)
    on conflict do nothing`;
  return world;
}

/** Before another run in a world: its tenants are open, have their members and a quota, and some room in it. */
export async function renewWorld(sql: Sql, world: World): Promise<void> {
  world.contexts.length = 0;
  await sql`delete from spend.execution_contexts where tenant_id = any (${world.tenants})`;
  world.calls.splice(0, Math.max(0, world.calls.length - 30));
  await sql`
    update spend.tenants set closed_at = null where id = any (${world.tenants}) and closed_at is not null`;
  await sql`
    insert into spend.tenant_members (tenant_id, user_id, role)
    select t.id, u.id, case u.id when ${world.users[0] as string} then 'owner' else 'member' end
    from spend.tenants as t cross join unnest(${world.users.slice(0, 3)}::uuid[]) as u (id)
    where t.id = any (${world.tenants})
    on conflict do nothing`;
  await sql`
    update spend.cost_quotas as q set limit_usd = s.current_spend_usd + 100
    from spend.quota_status as s
    where s.quota_id = q.id and s.utilization_percent > 90
      and (q.tenant_id = any (${world.tenants}) or q.tenant_id is null)`;
}

/** Forgets all that was done, past every trigger that keeps it: for the next world. */
export async function removeWorld(sql: Sql): Promise<void> {
  await sql.begin(async (transaction) => {
    await transaction`set local session_replication_role = replica`;
    // Rows of prices refer to tenants, so that these cannot be truncated.
    for (const table of [
      "prices where provider like 'test-%'",
      "product_aliases where provider like 'test-%'",
      "cost_quotas",
      "tenant_members",
      "tenants",
    ]) {
      await transaction.unsafe(`delete from spend.${table}`);
    }
    await transaction`
      truncate spend_private.quota_balances, spend.reservations, spend.cost_events,
        spend_private.cost_rollups, spend_private.conversation_rollups, spend.execution_contexts,
        spend.alerts, spend.alert_deliveries, spend_private.expiries, spend.audit_log, spend_private.refusals,
        spend_private.adjustments`;
    await transaction`delete from spend.plan_quotas where plan_id <> 'default'`;
    await transaction`delete from spend.plans where id <> 'default'`;
  });
}

/** Calls at the beginning of this month, week, day and hour, and a microsecond before: settled, expired and open. */
async function addHistory(sql: Sql, world: World, dice: Dice): Promise<void> {
  for (const tenantId of world.tenants) {
    const rows = await sql`
      select m.at::text as at, (spend_private.reserve(
        t.id, null, 'llm', ${sql.json(usageOf(1, { provider: world.provider }))}, p_now => m.at,
        p_ttl_seconds => 604800, p_enforce => false
      )).reservation_id as id
      from spend.tenants as t
      cross join unnest(array['month', 'week', 'day', 'hour']) as p
      cross join unnest(array['0', '-1 microsecond']::interval[]) as before
      cross join lateral (select date_trunc(p, now(), t.time_zone) + before as at) as m
      where t.id = ${tenantId}
      order by m.at`;
    for (const { id, at } of rows) {
      world.calls.push(id);
      if (dice.chance(0.4)) {
        await sql`
          select spend_private.settle(${id}, ${sql.json(usageOf(0.5, { provider: world.provider }))},
            p_now => ${at}::text::timestamptz + interval '2 minutes')`;
      }
    }
  }
}

/**
 * All is done: the balances are right while calls are open and when all of them have expired, a month later; each call is
 * counted once; every tenant has what its plan gives.
 */
export async function expectExact(sql: Sql, { tenants }: World): Promise<void> {
  await maintain(sql);
  expect(await verifyBalances(sql)).toEqual([]);
  expect(await wrongQuotas(sql, tenants)).toEqual([]);
  expect(await leftOverQuotas(sql, tenants)).toEqual([]);
  // What somebody deleted by hand, or made a quota of something else, comes back by this alone.
  for (const id of tenants) await sql`select spend.ensure_quotas(${id})`;
  expect(await missingPlanQuotas(sql, tenants)).toEqual([]);

  await sql`select spend_private.expire_reservations(100000, now() + interval '40 days')`;
  expect(await openCalls(sql, tenants)).toEqual([]);
  expect(await wrongQuotas(sql, tenants)).toEqual([]);
  const [held] = await sql`
    select coalesce(sum(reserved_usd), 0)::float8 as usd from spend_private.quota_balances
    where tenant_id = any (${tenants})`;
  expect(held?.usd).toBe(0);
  expect(await verifyBalances(sql)).toEqual([]);
  expect(await wrongCalls(sql, tenants)).toEqual([]);
  expect(await wrongReports(sql, tenants)).toEqual([]);
}
