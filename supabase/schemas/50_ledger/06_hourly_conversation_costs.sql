create view spend.hourly_conversation_costs
with (security_invoker = true)
as
select
  r.tenant_id, r.hour, r.conversation_id, r.resource_type, r.provider, r.product, r.task, r.user_id,
  r.cost_usd, r.calls
from spend_private.conversation_rollups as r
union all
select
  e.tenant_id, e.hour, e.conversation_id, e.resource_type, e.provider, e.product, e.task, e.user_id,
  e.cost_usd, e.calls
from spend_private.events_by_hour as e
where e.booked_xid >= spend_private.rolled_up_before() and e.conversation_id is not null;
comment on view spend.hourly_conversation_costs is
  'As spend.hourly_costs, by conversation: of calls that belong to one.';
comment on column spend.hourly_conversation_costs.tenant_id is 'Tenant that pays.';
comment on column spend.hourly_conversation_costs.hour is 'Full hour of UTC or of the tenant''s time zone, whichever is later; in an hour in which its clock is changed, the minute. No row lies in two days of either.';
comment on column spend.hourly_conversation_costs.conversation_id is 'The caller''s name of the conversation; calls without one are left out.';
comment on column spend.hourly_conversation_costs.resource_type is 'llm or e2b.';
comment on column spend.hourly_conversation_costs.provider is 'Who sold it.';
comment on column spend.hourly_conversation_costs.product is 'Model or template, as in spend.reservations.';
comment on column spend.hourly_conversation_costs.task is 'What the calls were for.';
comment on column spend.hourly_conversation_costs.user_id is 'Member who called; null: the tenant itself.';
comment on column spend.hourly_conversation_costs.cost_usd is 'USD booked. Negative where corrections exceed spend.';
comment on column spend.hourly_conversation_costs.calls is 'Calls booked; released ones do not count. 0 or less in a row of corrections; the rows of an hour sum to the right number.';
grant select on spend.hourly_conversation_costs to authenticated, service_role;
