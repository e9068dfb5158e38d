create view spend.quota_status
with (security_invoker = true)
as
select
  q.id as quota_id, q.scope, q.tenant_id, q.scope_id, q.resource_type, q.period, q.task, q.product,
  q.enforcement, q.warning_threshold, q.source, q.limit_usd,
  coalesce(b.spent_usd, 0) as spent_usd,
  coalesce(b.reserved_usd, 0) as reserved_usd,
  coalesce(b.spent_usd + b.reserved_usd, 0) as current_spend_usd,
  greatest(q.limit_usd - coalesce(b.spent_usd + b.reserved_usd, 0), 0) as remaining_usd,
  spend_private.utilization_percent(coalesce(b.spent_usd + b.reserved_usd, 0), q.limit_usd)
    as utilization_percent,
  lower(p.bounds) as period_start,
  upper(p.bounds) as period_end
from spend.cost_quotas as q
left join spend.tenants as t on t.id = q.tenant_id
cross join lateral (
  select spend_private.period_bounds(q.period, coalesce(t.time_zone, 'UTC')) as bounds
) as p
left join lateral (
  select sum(o.spent_usd) as spent_usd, sum(o.reserved_usd) as reserved_usd
  from spend_private.quota_balances as o
  where o.quota_id = q.id and o.period_start = lower(p.bounds)
) as b on true;
comment on view spend.quota_status is
  'Every quota that the reader may see, with what is spent, held and left of it in its current period, in USD.';
grant select on spend.quota_status to authenticated, service_role;
