create view spend.hourly_costs
with (security_invoker = true)
as
select
  r.tenant_id, r.hour, r.resource_type, r.provider, r.product, r.task, r.user_id, r.cost_usd, r.calls
from spend_private.cost_rollups as r
union all
select
  e.tenant_id, e.hour, e.resource_type, e.provider, e.product, e.task, e.user_id, e.cost_usd, e.calls
from spend_private.events_by_hour as e
where e.booked_xid >= spend_private.rolled_up_before();
comment on view spend.hourly_costs is
  'Booked cost in USD and number of calls by hour: the roll-ups, and event by event what is not rolled up yet. Exact and current; an hour may come in several rows, so sum them.';
grant select on spend.hourly_costs to authenticated, service_role;

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
grant select on spend.hourly_conversation_costs to authenticated, service_role;
