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
comment on column spend.spend_by_day.tenant_id is 'Tenant that pays.';
comment on column spend.spend_by_day.day is 'Day in the tenant''s time zone.';
comment on column spend.spend_by_day.resource_type is 'llm or e2b.';
comment on column spend.spend_by_day.provider is 'Who sold it; null for adjustments.';
comment on column spend.spend_by_day.product is 'Model or template, as in spend.reservations; null for adjustments.';
comment on column spend.spend_by_day.task is 'What the calls were for; null for adjustments.';
comment on column spend.spend_by_day.user_id is 'Member who called, or whom an adjustment is for; null: the tenant itself.';
comment on column spend.spend_by_day.cost_usd is 'USD booked. Negative where credits or corrections exceed spend.';
comment on column spend.spend_by_day.calls is 'Calls booked; released ones and adjustments do not count.';
grant select on spend.spend_by_day to authenticated, service_role;
