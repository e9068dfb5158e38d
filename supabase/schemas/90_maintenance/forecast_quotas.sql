create function spend_private.forecast_quotas(p_max_tenants integer, p_now timestamptz default now())
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_new_round boolean := not exists (
    select from spend_private.tenant_rounds as r where r.job = 'forecast_quotas' and r.after_tenant_id is not null
  );
  v_tenant_ids uuid[] := spend_private.next_tenants('forecast_quotas', p_max_tenants, p_now);
begin
  if v_tenant_ids = '{}' then
    return 0;
  end if;
  perform spend_private.record_forecasts(v_tenant_ids, p_now);
  if v_is_new_round then
    perform spend_private.record_platform_forecasts(p_now);
  end if;
  return cardinality(v_tenant_ids);
end;
$$;
comment on function spend_private.forecast_quotas is
  'Records an alert, forecast_exceeded, for each quota of the next p_max_tenants tenants, and at the beginning of a round of the platform, that will exceed its limit; returns how many tenants it looked at: each once an hour.';

create type spend_private.spend_rate as (
  quota_id bigint,
  usd_per_hour numeric
);
comment on type spend_private.spend_rate is
  'USD an hour that a quota''s subject spent in the last seven days.';

create function spend_private.record_forecasts(p_tenant_ids uuid[], p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_until timestamptz := date_trunc('hour', p_now, 'UTC');
  v_rates spend_private.spend_rate[];
begin
  with costs as materialized (
    select h.tenant_id, h.resource_type, h.task, h.product, h.user_id, sum(h.cost_usd) as cost_usd, min(h.hour) as first_at
    from spend.hourly_costs as h
    where h.tenant_id = any (p_tenant_ids) and h.hour >= v_until - interval '7 days' and h.hour < v_until
    group by 1, 2, 3, 4, 5
  )

  select array_agg(row(r.id, r.cost_usd / (7 * 24))::spend_private.spend_rate) into v_rates
  from (
    select q.id, sum(k.cost_usd) as cost_usd
    from costs as k
    join spend.cost_quotas as q on q.tenant_id = k.tenant_id
    where (q.resource_type = 'all' or k.resource_type = q.resource_type)
      and (q.task is null or k.task = q.task)
      and (q.product is null or k.product = q.product)
      and (q.scope <> 'user' or k.user_id = q.scope_id)
    group by q.id
    having min(k.first_at) < p_now - interval '1 day' and sum(k.cost_usd) > 0
  ) as r;
  return spend_private.insert_forecasts(v_rates, p_now);
end;
$$;
comment on function spend_private.record_forecasts is
  'forecast_quotas for the quotas of these tenants and their users.';

create function spend_private.record_platform_forecasts(p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_until timestamptz := date_trunc('hour', p_now, 'UTC');
  v_rates spend_private.spend_rate[];
begin
  -- Everybody's spend of a week is read only where a quota asks for it.
  if not exists (
    select from spend.cost_quotas as q where q.tenant_id is null and q.period <> 'lifetime' and q.limit_usd > 0
  ) then
    return 0;
  end if;
  with costs as materialized (
    select h.resource_type, h.task, h.product, sum(h.cost_usd) as cost_usd, min(h.hour) as first_at
    from spend.hourly_costs as h
    where h.hour >= v_until - interval '7 days' and h.hour < v_until
    group by 1, 2, 3
  )

  select array_agg(row(r.id, r.cost_usd / (7 * 24))::spend_private.spend_rate) into v_rates
  from (
    select q.id, sum(k.cost_usd) as cost_usd
    from spend.cost_quotas as q
    join costs as k on (q.resource_type = 'all' or k.resource_type = q.resource_type)
      and (q.task is null or k.task = q.task)
      and (q.product is null or k.product = q.product)
    where q.tenant_id is null
    group by q.id
    having min(k.first_at) < p_now - interval '1 day' and sum(k.cost_usd) > 0
  ) as r;
  return spend_private.insert_forecasts(v_rates, p_now);
end;
$$;
comment on function spend_private.record_platform_forecasts is
  'forecast_quotas for the quotas of the platform.';

create function spend_private.insert_forecasts(p_rates spend_private.spend_rate[], p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_count bigint;
begin
  insert into spend.alerts (tenant_id, quota_id, period_start, kind, threshold, details, facts, created_at)
  select
    q.tenant_id, q.id, b.period_start, 'forecast_exceeded', 1, spend_private.quota_details(q, b.period_start, 0, p_now),
    jsonb_build_object(
      'expected_usd', trim_scale(e.expected_usd)::text,
      'exhausted_at', p_now + make_interval(
        secs => (greatest(q.limit_usd - b.used_usd, 0) / r.usd_per_hour * 3600)::double precision
      ),
      'method', 'rate_of_last_7_days'
    ),
    p_now
  from unnest(p_rates) as r
  join spend.cost_quotas as q on q.id = r.quota_id
  -- Nothing is spent in a period without a balance: spend has stopped.
  cross join lateral (
    select o.period_start, max(o.period_end) as period_end, sum(o.spent_usd) as spent_usd,
      sum(o.spent_usd + o.reserved_usd) as used_usd
    from spend_private.quota_balances as o
    where o.quota_id = q.id and o.period_start <= p_now and o.period_end > p_now
    group by o.period_start
    order by o.period_start desc
    limit 1
  ) as b
  -- As spend.quota_forecast.
  cross join lateral (
    select round(b.spent_usd + r.usd_per_hour * extract(epoch from b.period_end - p_now) / 3600, 12) as expected_usd
  ) as e
  where q.limit_usd > 0 and isfinite(b.period_end) and b.spent_usd < q.limit_usd and e.expected_usd > q.limit_usd
    and not exists (
      select from spend.alerts as a
      where a.quota_id = q.id and a.period_start = b.period_start and a.kind = 'forecast_exceeded' and a.threshold = 1
        and a.limit_usd = q.limit_usd and a.ended_at is null
    )
  order by spend_private.lock_rank(q.scope), q.id
  on conflict (quota_id, period_start, kind, threshold, limit_usd) where ended_at is null do nothing;
  get diagnostics v_count = row_count;
  return v_count;
end;
$$;
comment on function spend_private.insert_forecasts is
  'Records an alert for each quota that will have spent more than its limit when its period ends, at its rate, and has not yet; once for each period and limit. As spend.quota_forecast has it.';
