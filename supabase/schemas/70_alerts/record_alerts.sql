create function spend_private.record_alerts(
  p_quota spend.cost_quotas,
  p_details spend.quota_details,
  p_period_start timestamptz,
  p_tenant_id uuid,
  p_now timestamptz default now(),
  p_is_refused boolean default false
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_spent boolean := p_details.spent_usd >= p_quota.limit_usd;
begin
  -- Most calls near a threshold have not spent it yet: nothing to look up. Beyond the limit one look-up is enough: the
  -- warnings were recorded before the limit.
  if p_details.spent_usd <= 0
    or p_details.spent_usd < p_quota.limit_usd * p_quota.warning_threshold
    or v_is_spent and spend_private.is_alerted(p_quota, p_period_start, 'quota_exceeded', 1)
  then
    return;
  end if;

  perform spend_private.record_warning_alerts(p_quota, p_details, p_period_start, p_tenant_id, p_now);
  if v_is_spent then
    perform spend_private.record_alert(p_quota, p_details, p_period_start, 'quota_exceeded', 1, p_tenant_id, p_now);
  elsif p_is_refused then
    -- With the lowest threshold: the alert of the limit itself, with 1, is still to come.
    perform spend_private.record_alert(
      p_quota, p_details, p_period_start, 'quota_exceeded', p_quota.warning_threshold, p_tenant_id, p_now
    );
  end if;
end;
$$;
comment on function spend_private.record_alerts is
  'Records the alerts for the spend of a quota (p_details: its state), without holds, in the period from p_period_start: kind quota_warning for each of its thresholds that is reached, kind quota_exceeded when the limit is spent, or when a call was refused (p_is_refused) at or above the lowest threshold. p_tenant_id: tenant of the call. None for a quota without spend.';

create function spend_private.record_warning_alerts(
  p_quota spend.cost_quotas,
  p_details spend.quota_details,
  p_period_start timestamptz,
  p_tenant_id uuid,
  p_now timestamptz
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_reached numeric[] := '{}';
  v_threshold numeric;
begin
  foreach v_threshold in array p_quota.warning_thresholds loop
    -- At 1 the alert is quota_exceeded alone.
    exit when v_threshold >= 1 or p_details.spent_usd < p_quota.limit_usd * v_threshold;
    v_reached := v_reached || v_threshold;
  end loop;
  -- One look-up is enough here too: the lower ones were recorded before the highest.
  if v_reached = '{}'
    or spend_private.is_alerted(p_quota, p_period_start, 'quota_warning', v_reached[cardinality(v_reached)])
  then
    return;
  end if;
  foreach v_threshold in array v_reached loop
    perform spend_private.record_alert(p_quota, p_details, p_period_start, 'quota_warning', v_threshold, p_tenant_id, p_now);
  end loop;
end;
$$;
comment on function spend_private.record_warning_alerts is
  'Records a quota_warning for each threshold below 1 that the spend of a quota has reached, the lowest first. record_alerts calls it.';

create function spend_private.is_alerted(
  p_quota spend.cost_quotas,
  p_period_start timestamptz,
  p_kind text,
  p_threshold numeric
)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return exists (
    select from spend.alerts as a
    where a.quota_id = p_quota.id and a.period_start = p_period_start and a.kind = p_kind
      and a.threshold = p_threshold and a.limit_usd = p_quota.limit_usd and a.ended_at is null
  );
end;
$$;
comment on function spend_private.is_alerted is
  'Whether an alert of this kind and threshold exists for the quota''s period at its present limit, and has not ended.';

create function spend_private.record_alert(
  p_quota spend.cost_quotas,
  p_details spend.quota_details,
  p_period_start timestamptz,
  p_kind text,
  p_threshold numeric,
  p_tenant_id uuid,
  p_now timestamptz
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Look first: "on conflict" alone would draw an id from the sequence in every call above the threshold.
  if spend_private.is_alerted(p_quota, p_period_start, p_kind, p_threshold) then
    return;
  end if;
  insert into spend.alerts (
    tenant_id, quota_id, period_start, kind, threshold, details, caused_by_tenant_id, created_at
  )
  values (
    p_quota.tenant_id, p_quota.id, p_period_start, p_kind, p_threshold, p_details, p_tenant_id, p_now
  )
  on conflict (quota_id, period_start, kind, threshold, limit_usd) where ended_at is null do nothing;
end;
$$;
comment on function spend_private.record_alert is
  'Records one alert about a quota, once per period, kind, threshold and limit. record_alerts calls it.';
