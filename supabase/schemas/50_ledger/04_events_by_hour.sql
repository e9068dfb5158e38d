create view spend_private.events_by_hour
with (security_invoker = true)
as
select
  e.tenant_id, e.occurred_at, e.booked_xid,
  case
    when coalesce(t.time_zone, 'UTC') = 'UTC' then date_trunc('hour', e.occurred_at, 'UTC')
    -- The clock was not changed since the hour began.
    when date_trunc('hour', e.occurred_at, t.time_zone) at time zone t.time_zone
      = date_trunc('hour', e.occurred_at at time zone t.time_zone)
      then greatest(
        date_trunc('hour', e.occurred_at, 'UTC'), date_trunc('hour', e.occurred_at, t.time_zone)
      )
    -- Such an hour is counted by the minute: a clock is changed at a full minute.
    else date_trunc('minute', e.occurred_at, 'UTC')
  end as hour,
  e.conversation_id, e.resource_type, e.provider, e.product, e.task, e.user_id, e.cost_usd,
  e.calls::bigint as calls
from spend.cost_events as e
left join spend.tenants as t on t.id = e.tenant_id;
comment on view spend_private.events_by_hour is
  'The ledger as the roll-ups count it. Hours are cut where those of UTC begin, and with them the ledger''s months, and where those of the tenant''s time zone do, and with them its days: Kolkata''s begin at half past.';
grant select on spend_private.events_by_hour to authenticated, service_role;
