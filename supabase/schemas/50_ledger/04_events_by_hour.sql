create view spend_private.events_by_hour
with (security_invoker = true)
as
select
  e.tenant_id, e.occurred_at, e.booked_xid,
  case
    when coalesce(t.time_zone, 'UTC') = 'UTC' then date_trunc('hour', e.occurred_at, 'UTC')
    -- The clock has not changed since the hour began.
    when date_trunc('hour', e.occurred_at, t.time_zone) at time zone t.time_zone
      = date_trunc('hour', e.occurred_at at time zone t.time_zone)
      then greatest(
        date_trunc('hour', e.occurred_at, 'UTC'), date_trunc('hour', e.occurred_at, t.time_zone)
      )
    -- An hour with a change of the clock counts by the minute: clocks change at full minutes.
    else date_trunc('minute', e.occurred_at, 'UTC')
  end as hour,
  e.conversation_id, e.resource_type, e.provider, e.product, e.task, e.user_id, e.cost_usd,
  e.calls::bigint as calls
from spend.cost_events as e
left join spend.tenants as t on t.id = e.tenant_id;
comment on view spend_private.events_by_hour is
  'The ledger by hour, as the roll-ups count it. Hours end where an hour of UTC ends, and so the ledger''s months, and where one of the tenant''s time zone ends, and so its days: Kolkata''s end at half past.';
grant select on spend_private.events_by_hour to authenticated, service_role;
