// What must be true of balances and ledger, computed from the ledger and the open calls alone: nothing here calls the product's
// own arithmetic, so that a fault there cannot hide itself.
import type { Sql } from "postgres";

/** Quotas whose status differs from the sum of their events and open calls: none, when all is right. */
export function wrongQuotas(sql: Sql, tenantIds: string[]) {
  return sql`
    with quota as (
      select
        q.*, s.spent_usd, s.reserved_usd,
        case q.period
          when 'lifetime' then '-infinity'::timestamptz
          else date_trunc(q.period, now(), coalesce(t.time_zone, 'UTC'))
        end as starts_at
      from spend.cost_quotas as q
      join spend.quota_status as s on s.quota_id = q.id
      left join spend.tenants as t on t.id = q.tenant_id
      where q.tenant_id is null or q.tenant_id = any (${tenantIds})
    )

    select
      q.id, q.scope, q.resource_type, q.period, q.task, q.product, q.source,
      q.spent_usd::float8, ledger.usd::float8 as ledger_usd, q.reserved_usd::float8, held.usd::float8 as held_usd
    from quota as q
    cross join lateral (
      select coalesce(sum(e.cost_usd), 0) as usd
      from spend.cost_events as e
      where (q.tenant_id is null or e.tenant_id = q.tenant_id)
        and (q.scope <> 'user' or e.user_id = q.scope_id)
        and (q.resource_type = 'all' or e.resource_type = q.resource_type)
        and (q.task is null or e.task = q.task)
        and (q.product is null or e.product = q.product)
        and e.occurred_at >= q.starts_at
    ) as ledger
    cross join lateral (
      select coalesce(sum(r.estimated_cost_usd), 0) as usd
      from spend.reservations as r
      where r.status = 'held' and (q.tenant_id is null or r.tenant_id = q.tenant_id)
        and (q.scope <> 'user' or r.user_id = q.scope_id)
        and (q.resource_type = 'all' or r.resource_type = q.resource_type)
        and (q.task is null or r.task = q.task)
        and (q.product is null or r.product = q.product)
        and r.created_at >= q.starts_at
    ) as held
    where q.spent_usd <> ledger.usd or q.reserved_usd <> held.usd`;
}

/** Calls whose cost is not what their events sum to, or that are open and booked: none, when all is right. */
export function wrongCalls(sql: Sql, tenantIds: string[]) {
  return sql`
    select r.id, r.status, r.actual_cost_usd::float8, e.usd::float8 as booked_usd
    from spend.reservations as r
    left join (
      select c.reservation_id, sum(c.cost_usd) as usd
      from spend.cost_events as c
      where c.tenant_id = any (${tenantIds})
      group by c.reservation_id
    ) as e on e.reservation_id = r.id
    where r.tenant_id = any (${tenantIds}) and coalesce(r.actual_cost_usd, 0) <> coalesce(e.usd, 0)`;
}

/** Tenants whose report differs in cost from the ledger, or in calls from the calls that were made: none, when all is right. */
export function wrongReports(sql: Sql, tenantIds: string[]) {
  return sql`
    select t.id, l.cost_usd::float8, l.calls, ledger.usd::float8 as ledger_usd, made.calls as calls_made
    from spend.tenants as t
    left join spend.cost_report('{tenant}', '2000-01-01') as l on l.tenant_id = t.id
    cross join lateral (
      select coalesce(sum(e.cost_usd), 0) as usd from spend.cost_events as e where e.tenant_id = t.id
    ) as ledger
    cross join lateral (
      select count(*) as calls
      from spend.reservations as r
      where r.tenant_id = t.id and r.status in ('settled', 'expired')
    ) as made
    where t.id = any (${tenantIds})
      and (coalesce(l.cost_usd, 0) <> ledger.usd or coalesce(l.calls, 0) <> made.calls)`;
}

/** Calls that are still held. */
export function openCalls(sql: Sql, tenantIds: string[]) {
  return sql`
    select r.id, r.expires_at from spend.reservations as r
    where r.status = 'held' and r.tenant_id = any (${tenantIds})`;
}

/** Members without a user quota of their plan, and tenants without one of theirs: none, when plans are followed. */
export function missingPlanQuotas(sql: Sql, tenantIds: string[]) {
  return sql`
    select t.id, p.scope, p.resource_type, p.period, s.scope_id
    from spend.tenants as t
    join spend.plan_quotas as p on p.plan_id = t.plan_id
    cross join lateral (
      select t.id as scope_id where p.scope = 'tenant'
      union all
      select m.user_id from spend.tenant_members as m where m.tenant_id = t.id and p.scope = 'user'
    ) as s
    where t.id = any (${tenantIds}) and not exists (
      select from spend.cost_quotas as q
      where q.tenant_id = t.id and q.scope_id = s.scope_id and q.resource_type = p.resource_type
        and q.period = p.period and q.task is null and q.product is null
        and (q.source = 'manual' or q.limit_usd = p.limit_usd)
    )`;
}

/** Quotas of source plan that no plan has, and quotas of users who are no members: none, when plans are followed. */
export function leftOverQuotas(sql: Sql, tenantIds: string[]) {
  return sql`
    select q.id, q.scope, q.scope_id, q.resource_type, q.period, q.source
    from spend.cost_quotas as q
    join spend.tenants as t on t.id = q.tenant_id
    where q.tenant_id = any (${tenantIds}) and q.source = 'plan' and (
      not exists (
        select from spend.plan_quotas as p
        where p.plan_id = t.plan_id and p.scope = q.scope and p.resource_type = q.resource_type and p.period = q.period
      )
      or (q.scope = 'user' and not exists (
        select from spend.tenant_members as m where m.tenant_id = q.tenant_id and m.user_id = q.scope_id
      ))
    )`;
}
