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
  upper(p.bounds) as period_end,
  q.warning_thresholds
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
comment on column spend.quota_status.quota_id is 'Its row of spend.cost_quotas.';
comment on column spend.quota_status.scope is 'Whose spend counts: platform, tenant or user.';
comment on column spend.quota_status.tenant_id is 'Tenant of the quota, or of its user; null for the platform.';
comment on column spend.quota_status.scope_id is 'The tenant''s id, or the user''s; null for the platform.';
comment on column spend.quota_status.resource_type is 'llm, e2b, or all for their sum.';
comment on column spend.quota_status.period is 'hour, day, week, month or lifetime.';
comment on column spend.quota_status.task is 'When set, only calls of this task count.';
comment on column spend.quota_status.product is 'When set, only calls of this model or template count.';
comment on column spend.quota_status.enforcement is 'block refuses; observe counts and alerts but never refuses.';
comment on column spend.quota_status.warning_threshold is 'Share of the limit, 0 to 1, from which on answers carry a warning and an alert is recorded.';
comment on column spend.quota_status.source is 'plan: follows the plan''s. manual: set by hand.';
comment on column spend.quota_status.limit_usd is 'USD per period. 0 refuses everything.';
comment on column spend.quota_status.spent_usd is 'USD booked in the period. Negative after credits.';
comment on column spend.quota_status.reserved_usd is 'USD that open calls hold.';
comment on column spend.quota_status.current_spend_usd is 'USD used: spent_usd + reserved_usd.';
comment on column spend.quota_status.remaining_usd is 'USD that the limit leaves; 0 when it is passed.';
comment on column spend.quota_status.utilization_percent is 'current_spend_usd in percent of the limit, two decimals; above 100 when it is passed. 100 where the limit is 0.';
comment on column spend.quota_status.period_start is 'Start of the current period, in the tenant''s time zone (platform: UTC); -infinity for lifetime.';
comment on column spend.quota_status.period_end is 'When the next period begins, with nothing spent; infinity for lifetime.';
comment on column spend.quota_status.warning_thresholds is 'Shares of the limit, ascending, each of which gets an alert.';
grant select on spend.quota_status to authenticated, service_role;
