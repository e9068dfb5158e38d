create function spend_private.record_alert(
  p_kind text,
  p_quota spend.quota_details,
  p_tenant_id uuid,
  p_now timestamptz default now()
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota spend.cost_quotas;
  v_period_start timestamptz;
  v_threshold numeric;
begin
  select * into v_quota from spend.cost_quotas as q where q.id = p_quota.quota_id;
  v_threshold := case p_kind when 'limit' then 1 else v_quota.warning_threshold end;
  v_period_start := lower(spend_private.quota_bounds(
    v_quota, coalesce(p_quota.period_end - interval '1 microsecond', p_now)
  ));

  -- Looked up first: on conflict alone would draw an id from the sequence in every call above the threshold.
  if exists (
    select from spend.alerts as a
    where a.tenant_id is not distinct from v_quota.tenant_id and a.quota_id = v_quota.id
      and a.period_start = v_period_start and a.kind = p_kind and a.threshold = v_threshold
  ) then
    return;
  end if;
  insert into spend.alerts (
    tenant_id, quota_id, period_start, kind, threshold, details, caused_by_tenant_id, created_at
  )
  values (
    v_quota.tenant_id, v_quota.id, v_period_start, p_kind, v_threshold, p_quota, p_tenant_id, p_now
  )
  on conflict do nothing;
end;
$$;
comment on function spend_private.record_alert is
  'Records that a quota crossed its warning threshold (kind warning) or its limit (kind limit), once per period.';
