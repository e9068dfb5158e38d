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
  'Booked cost in USD and number of calls by hour: the roll-ups, and each event that is not rolled up yet. Exact and current; an hour may have several rows, so sum them.';
comment on column spend.hourly_costs.tenant_id is 'Tenant that pays.';
comment on column spend.hourly_costs.hour is 'Full hour of UTC or of the tenant''s time zone, whichever is later; in an hour in which its clock is changed, the minute. No row lies in two days of either. In time zones that are off by 15, 30 or 45 minutes two rows make one hour of the clock: group by date_trunc(''hour'', hour, time_zone).';
comment on column spend.hourly_costs.resource_type is 'llm or e2b.';
comment on column spend.hourly_costs.provider is 'Who sold it; null for adjustments.';
comment on column spend.hourly_costs.product is 'Model or template, as in spend.reservations; null for adjustments.';
comment on column spend.hourly_costs.task is 'What the calls were for; null for adjustments.';
comment on column spend.hourly_costs.user_id is 'Member who called, or whom an adjustment is for; null: the tenant itself.';
comment on column spend.hourly_costs.cost_usd is 'USD booked. Negative where credits or corrections exceed spend.';
comment on column spend.hourly_costs.calls is 'Calls booked; released ones do not count. 0 or less in a row of corrections; the rows of an hour sum to the right number.';
grant select on spend.hourly_costs to authenticated, service_role;
