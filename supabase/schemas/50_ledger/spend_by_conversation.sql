create view spend.spend_by_conversation
with (security_invoker = true)
as
select
  c.tenant_id,
  date_trunc('month', c.hour at time zone coalesce(t.time_zone, 'UTC'))::date as month,
  c.resource_type, c.conversation_id,
  sum(c.cost_usd) as cost_usd,
  sum(c.calls)::bigint as calls
from spend.hourly_conversation_costs as c
left join spend.tenants as t on t.id = c.tenant_id
group by 1, 2, 3, 4;
comment on view spend.spend_by_conversation is
  'Booked cost in USD and number of calls by tenant, conversation, month of the tenant''s time zone (its first day) and resource type. For other spans of time: spend.cost_report.';
comment on column spend.spend_by_conversation.tenant_id is 'Tenant that pays.';
comment on column spend.spend_by_conversation.month is 'First day of the month, in the tenant''s time zone.';
comment on column spend.spend_by_conversation.resource_type is 'llm or e2b.';
comment on column spend.spend_by_conversation.conversation_id is 'The caller''s name of the conversation; calls without one are left out.';
comment on column spend.spend_by_conversation.cost_usd is 'USD booked. Negative where corrections exceed spend.';
comment on column spend.spend_by_conversation.calls is 'Calls booked; released ones do not count.';
grant select on spend.spend_by_conversation to authenticated, service_role;
