create function spend.finish_delivery(
  delivery_id bigint,
  error text default null,
  retry_after_seconds integer default null,
  is_final boolean default false
)
returns boolean
language plpgsql volatile
-- Definer: see spend.claim_deliveries.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.finish_delivery(
    finish_delivery.delivery_id, finish_delivery.error, finish_delivery.retry_after_seconds, finish_delivery.is_final
  );
end;
$$;
comment on function spend.finish_delivery is
  'Records that a delivery was accepted (error null), or why not: then it is tried again after the delay of its attempts, or after retry_after_seconds (6 hours at most), and given up when is_final, or after 12 attempts; the row stays. False when it was accepted, or has ended, before, or does not exist. For service_role.';
grant execute on function spend.finish_delivery to service_role;

create function spend_private.finish_delivery(
  p_delivery_id bigint,
  p_error text default null,
  p_retry_after_seconds integer default null,
  p_is_final boolean default false,
  p_now timestamptz default now()
)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_alert_id bigint := (select d.alert_id from spend.alert_deliveries as d where d.id = p_delivery_id);
  v_kind text;
  v_is_final boolean := coalesce(p_is_final, false);
begin
  -- The alert first: of two deliveries that end at once, the second sees the first one's end, and closes the alert.
  select a.kind into v_kind from spend.alerts as a where a.id = v_alert_id for no key update;
  if p_error is null then
    -- Also of one that ended meanwhile: it was sent.
    update spend.alert_deliveries as d set
      delivered_at = p_now, ended_at = null, is_given_up = false, last_error = null,
      resolve_check_at = case
        when d.event = 'trigger' and d.channel_kind = 'pagerduty' and spend_private.can_be_over(v_kind) then p_now
      end
    where d.id = p_delivery_id and d.delivered_at is null;
  else
    update spend.alert_deliveries as d set
      last_error = left(p_error, 2000),
      next_attempt_at = case
        when p_retry_after_seconds > 0
          then p_now + least(make_interval(secs => p_retry_after_seconds), interval '6 hours')
        else d.next_attempt_at
      end,
      ended_at = case when v_is_final or d.attempts >= 12 then p_now end,
      is_given_up = v_is_final or d.attempts >= 12
    where d.id = p_delivery_id and d.delivered_at is null and d.ended_at is null;
  end if;
  if not found then
    return false;
  end if;
  perform spend_private.close_alerts(array[v_alert_id], p_now);
  return true;
end;
$$;
comment on function spend_private.finish_delivery is
  'spend.finish_delivery with a clock.';

create function spend_private.close_alerts(p_alert_ids bigint[], p_now timestamptz default now())
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  if p_alert_ids = '{}' then
    return;
  end if;
  update spend.alerts as a set delivered_at = p_now
  from (
    select o.id from spend.alerts as o
    where o.id = any (p_alert_ids) and o.delivered_at is null
    -- A claim has locked deliveries, and finish_delivery locks the alert before them: whoever has it closes it.
    for no key update skip locked
  ) as o
  where a.id = o.id
    and exists (select from spend.alert_deliveries as d where d.alert_id = a.id and d.delivered_at is not null)
    and not exists (
      select from spend.alert_deliveries as d
      where d.alert_id = a.id and d.delivered_at is null and d.ended_at is null
    );
end;
$$;
comment on function spend_private.close_alerts is
  'Marks alerts as delivered that have no open delivery, and one that was accepted.';

create function spend_private.end_deliveries(p_ids bigint[], p_reason text, p_now timestamptz default now())
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_alert_ids bigint[];
begin
  with ended as (
    update spend.alert_deliveries as d set ended_at = p_now, last_error = coalesce(d.last_error, p_reason)
    where d.id = any (p_ids) and d.delivered_at is null and d.ended_at is null
    returning d.alert_id
  )

  select array_agg(e.alert_id) into v_alert_ids from ended as e;
  perform spend_private.close_alerts(coalesce(v_alert_ids, '{}'), p_now);
end;
$$;
comment on function spend_private.end_deliveries is
  'Ends open deliveries: they are not sent. Their rows stay.';
