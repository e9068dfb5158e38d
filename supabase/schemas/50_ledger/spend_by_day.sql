create view spend.spend_by_day
with (security_invoker = true)
as
select
  e.tenant_id,
  (e.occurred_at at time zone coalesce(t.time_zone, 'UTC'))::date as day,
  e.resource_type, e.provider, e.product, e.task, e.user_id,
  sum(e.cost_usd) as cost_usd,
  count(*) filter (where e.kind in ('charge', 'expiry')) as calls
from spend.cost_events as e
left join spend.tenants as t on t.id = e.tenant_id
group by 1, 2, 3, 4, 5, 6, 7;
comment on view spend.spend_by_day is
  'Booked cost in USD and number of calls, by day of the tenant''s time zone, resource type, provider, product, task and user.';
grant select on spend.spend_by_day to authenticated, service_role;
