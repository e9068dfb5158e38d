create view spend.spend_by_user
with (security_invoker = true)
as
select
  c.tenant_id,
  date_trunc('month', c.hour at time zone coalesce(t.time_zone, 'UTC'))::date as month,
  c.resource_type, c.user_id,
  sum(c.cost_usd) as cost_usd,
  sum(c.calls)::bigint as calls
from spend.hourly_costs as c
left join spend.tenants as t on t.id = c.tenant_id
group by 1, 2, 3, 4;
comment on view spend.spend_by_user is
  'Booked cost in USD and number of calls by tenant, user, month of the tenant''s time zone (its first day) and resource type. For other spans of time: spend.cost_report.';
comment on column spend.spend_by_user.tenant_id is 'Tenant that pays.';
comment on column spend.spend_by_user.month is 'First day of the month, in the tenant''s time zone.';
comment on column spend.spend_by_user.resource_type is 'llm or e2b.';
comment on column spend.spend_by_user.user_id is 'Member who called, or whom an adjustment is for; null: the tenant itself.';
comment on column spend.spend_by_user.cost_usd is 'USD booked. Negative where credits or corrections exceed spend.';
comment on column spend.spend_by_user.calls is 'Calls booked; released ones and adjustments do not count.';
grant select on spend.spend_by_user to authenticated, service_role;
