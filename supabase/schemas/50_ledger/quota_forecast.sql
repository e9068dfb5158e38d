create type spend.quota_outlook as (
  quota_id bigint,
  usd_per_hour numeric,
  expected_usd numeric,
  exhausted_at timestamptz,
  method text
);
comment on type spend.quota_outlook is 'Line of spend.quota_forecast.';
comment on column spend.quota_outlook.quota_id is 'Quota, of spend.cost_quotas.';
comment on column spend.quota_outlook.usd_per_hour is 'USD an hour that the quota''s subject spent over the time that method names. Null: too little history.';
comment on column spend.quota_outlook.expected_usd is 'USD that will be spent when the period ends, at that rate. Null: too little history, or a lifetime quota.';
comment on column spend.quota_outlook.exhausted_at is 'When the limit will be reached, at that rate. Null: not in this period, or too little history. In the past or now: it is reached.';
comment on column spend.quota_outlook.method is 'rate_of_last_7_days: what was spent in the seven days before this hour, evenly over them. rate_since_first_spend: the subject spent nothing in the four weeks before these seven days, so what it spent since its first hour, evenly over the time since then, a day at least. too_little_history: the subject''s first spend is less than a day ago.';

create function spend.quota_forecast(tenant_id uuid default null, quota_id bigint default null)
returns setof spend.quota_outlook
language plpgsql stable
-- Invoker: row-level security decides which quotas, and whose spend, the reader sees.
security invoker
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_until timestamptz := date_trunc('hour', now(), 'UTC');
  v_from timestamptz := v_until - interval '7 days';
begin
  return query
  with quotas as (
    select s.*
    from spend.quota_status as s
    where (
        s.tenant_id = quota_forecast.tenant_id
        or (quota_forecast.tenant_id is null and s.tenant_id is null)
      )
      and (quota_forecast.quota_id is null or s.quota_id = quota_forecast.quota_id)
  ),

  costs as materialized (
    select h.resource_type, h.task, h.product, h.user_id, sum(h.cost_usd) as cost_usd, min(h.hour) as first_at
    from spend.hourly_costs as h
    where h.hour >= v_from and h.hour < v_until
      and (quota_forecast.tenant_id is null or h.tenant_id = quota_forecast.tenant_id)
    group by 1, 2, 3, 4
  ),

  spans as (
    select
      q.quota_id, q.limit_usd, q.spent_usd, q.current_spend_usd, q.period_end, c.cost_usd,
      case
        when c.first_at is null or c.first_at >= now() - interval '1 day' then null
        -- Looked up only for a subject that seems to be young.
        when c.first_at < v_from + interval '1 hour' or exists (
          select from spend.hourly_costs as h
          where h.hour >= v_from - interval '28 days' and h.hour < v_from
            and (quota_forecast.tenant_id is null or h.tenant_id = quota_forecast.tenant_id)
            and (q.resource_type = 'all' or h.resource_type = q.resource_type)
            and (q.task is null or h.task = q.task)
            and (q.product is null or h.product = q.product)
            and (q.scope <> 'user' or h.user_id = q.scope_id)
        ) then v_from
        else least(c.first_at, v_until - interval '1 day')
      end as since
    from quotas as q
    cross join lateral (
      select coalesce(sum(k.cost_usd), 0) as cost_usd, min(k.first_at) as first_at
      from costs as k
      where (q.resource_type = 'all' or k.resource_type = q.resource_type)
        and (q.task is null or k.task = q.task)
        and (q.product is null or k.product = q.product)
        and (q.scope <> 'user' or k.user_id = q.scope_id)
    ) as c
  ),

  rates as (
    select s.*, greatest(s.cost_usd, 0) / (extract(epoch from v_until - s.since) / 3600) as usd_per_hour
    from spans as s
  )

  select
    r.quota_id, round(r.usd_per_hour, 12),
    case
      when isfinite(r.period_end)
        then round(r.spent_usd + r.usd_per_hour * extract(epoch from r.period_end - now()) / 3600, 12)
    end,
    case
      when r.usd_per_hour is null then null
      when r.current_spend_usd >= r.limit_usd then now()
      when r.usd_per_hour > 0
        and (r.limit_usd - r.current_spend_usd) / r.usd_per_hour
          < case when isfinite(r.period_end) then extract(epoch from r.period_end - now()) / 3600 else 24 * 366 * 10 end
        then now() + make_interval(secs => ((r.limit_usd - r.current_spend_usd) / r.usd_per_hour * 3600)::double precision)
    end,
    case
      when r.since = v_from then 'rate_of_last_7_days'
      when r.since > v_from then 'rate_since_first_spend'
      else 'too_little_history'
    end
  from rates as r
  order by r.quota_id;
end;
$$;
comment on function spend.quota_forecast is
  'What the quotas of a tenant (tenant_id null: of the platform) will have spent when their period ends, and when their limits will be reached, should spend go on as in the last seven days, or, if that is later, since the first spend. quota_id: that one alone. An estimate for people: it decides nothing. A member''s forecast of a quota of the tenant knows the member''s own spend alone.';
grant execute on function spend.quota_forecast to authenticated, service_role;
