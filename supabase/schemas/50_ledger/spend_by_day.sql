create view spend.spend_by_day
with (security_invoker = true)
as
select
  c.tenant_id,
  (c.hour at time zone coalesce(t.time_zone, 'UTC'))::date as day,
  c.resource_type, c.provider, c.product, c.task, c.user_id,
  sum(c.cost_usd) as cost_usd,
  sum(c.calls)::bigint as calls
from spend.hourly_costs as c
left join spend.tenants as t on t.id = c.tenant_id
group by 1, 2, 3, 4, 5, 6, 7;
comment on view spend.spend_by_day is
  'Booked cost in USD and number of calls, by day of the tenant''s time zone, resource type, provider, product, task and user.';
grant select on spend.spend_by_day to authenticated, service_role;
