create function spend_private.resolve_incidents(p_max_rows integer default 100, p_now timestamptz default now())
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_incident record;
  v_count bigint := 0;
begin
  for v_incident in
    select d as delivery, a as alert
    from spend.alert_deliveries as d
    join spend.alerts as a on a.id = d.alert_id
    where d.resolve_check_at <= p_now
    order by d.resolve_check_at, d.id
    limit p_max_rows
    -- The alert too, as the foreign key of the new row will, but without waiting for retention.
    for no key update of d skip locked
    for key share of a skip locked
  loop
    if spend_private.is_over(v_incident.alert, p_now) then
      insert into spend.alert_deliveries (
        alert_id, channel, channel_id, channel_kind, event, about, created_at, next_attempt_at
      )
      values (
        (v_incident.delivery).alert_id, (v_incident.delivery).channel, (v_incident.delivery).channel_id,
        (v_incident.delivery).channel_kind, 'resolve', (v_incident.delivery).about, p_now, p_now
      )
      on conflict on constraint one_delivery_per_channel do nothing;
      update spend.alert_deliveries as d set resolve_check_at = null where d.id = (v_incident.delivery).id;
      v_count := v_count + 1;
    else
      update spend.alert_deliveries as d set resolve_check_at = p_now + interval '1 minute'
      where d.id = (v_incident.delivery).id;
    end if;
  end loop;
  return v_count;
end;
$$;
comment on function spend_private.resolve_incidents is
  'Adds a delivery with the event resolve for each incident that is over, of the p_max_rows that were looked at the longest ago; returns how many. Looks at each once a minute.';

create function spend_private.can_be_over(p_kind text)
returns boolean
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select p_kind in ('quota_warning', 'quota_exceeded', 'forecast_exceeded', 'verification_failed', 'job_failed')
$$;
comment on function spend_private.can_be_over is
  'Whether the database can know that what an alert of a kind is about is over.';

create function spend_private.is_over(p_alert spend.alerts, p_now timestamptz)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_limit_usd numeric;
begin
  if p_alert.quota_id is null then
    return not exists (
      select from spend.problems as p
      where p.id = (p_alert.facts ->> 'problem_id')::bigint and p.resolved_at is null
    );
  end if;
  select q.limit_usd into v_limit_usd from spend.cost_quotas as q where q.id = p_alert.quota_id;
  return case
    when v_limit_usd is null or (p_alert.details).period_end <= p_now or p_alert.ended_at is not null then true
    when p_alert.kind = 'forecast_exceeded' then v_limit_usd > p_alert.limit_usd
    else v_limit_usd * p_alert.threshold > (
      select coalesce(sum(b.spent_usd), 0)
      from spend_private.quota_balances as b
      where b.quota_id = p_alert.quota_id and b.period_start = p_alert.period_start
    )
  end;
end;
$$;
comment on function spend_private.is_over is
  'Whether what an alert is about is over: the quota''s period has ended, it is gone, or has room again below the threshold (forecast_exceeded: its limit was raised); the problem is resolved.';
