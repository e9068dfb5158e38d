create type spend_private.comparison as (
  usual_usd numeric,
  spread_usd numeric,
  floor_usd numeric
);
comment on type spend_private.comparison is
  'What a day''s cost is compared with: the median of other days, their spread (what a factor multiplies), and the cost that it must exceed in any case. In USD.';

create table spend_private.surveys (
  tenant_id uuid primary key,
  month timestamptz not null,
  month_usd numeric(24, 12) not null,
  worst_percent numeric,
  half_used_quota_ids bigint[] not null,
  surveyed_at timestamptz not null
);
comment on table spend_private.surveys is
  'Where tenants stand beside each other, in a project of more than 1,000: found by the job survey_spend, a few tenants in each run. Says in which order spend.fleet lists them, and which quotas below their warning threshold spend.quotas_near_limit looks at; both show present figures. Rows of deleted tenants stay until their next survey.';
comment on column spend_private.surveys.tenant_id is 'Tenant, of spend.tenants.';
comment on column spend_private.surveys.month is 'Month of UTC that month_usd is of.';
comment on column spend_private.surveys.month_usd is 'USD booked in that month.';
comment on column spend_private.surveys.worst_percent is 'See spend.fleet_line.';
comment on column spend_private.surveys.half_used_quota_ids is 'Its quotas of which half was spent and held, or more, but less than the warning threshold.';
comment on column spend_private.surveys.surveyed_at is 'When this was so.';
create index surveys_month_month_usd_idx on spend_private.surveys (month desc, month_usd desc, tenant_id);
create index surveys_worst_percent_idx on spend_private.surveys (worst_percent desc nulls last, tenant_id);
create index surveys_half_used_idx on spend_private.surveys (tenant_id) where half_used_quota_ids <> '{}';
create index surveys_surveyed_at_idx on spend_private.surveys (surveyed_at);
alter table spend_private.surveys enable row level security;

create table spend_private.unusual_days (
  tenant_id uuid not null,
  day date not null,
  cost_usd numeric(24, 12) not null,
  below_factor numeric not null,
  comparisons spend_private.comparison[] not null,
  surveyed_at timestamptz not null,
  primary key (tenant_id, day)
);
comment on table spend_private.unusual_days is
  'Days that stand out, in a project of more than 1,000 tenants: of $1 and more, at a factor of 3 and more, compared with four weeks. Found by the job survey_spend; spend.unusual_spend of all tenants reads it.';
comment on column spend_private.unusual_days.tenant_id is 'Tenant, of spend.tenants; it may be gone.';
comment on column spend_private.unusual_days.day is 'Day in the tenant''s time zone.';
comment on column spend_private.unusual_days.cost_usd is 'USD booked that day.';
comment on column spend_private.unusual_days.below_factor is 'The day stands out at every factor below this one.';
comment on column spend_private.unusual_days.comparisons is 'What it was compared with.';
comment on column spend_private.unusual_days.surveyed_at is 'When this was so.';
create index unusual_days_day_cost_usd_idx on spend_private.unusual_days (day desc, cost_usd desc, tenant_id) include (below_factor);
alter table spend_private.unusual_days enable row level security;

create function spend_private.is_large_fleet()
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select count(*) > 1000 from (select from spend.tenants as t order by t.id limit 1001) as t);
end;
$$;
comment on function spend_private.is_large_fleet is
  'Whether there are more than 1,000 tenants: too many to look at all of them whenever a screen asks.';

create function spend_private.tenant_standings(p_tenant_ids uuid[])
returns table (
  tenant_id uuid,
  month_usd numeric,
  worst_percent numeric,
  worst_quota_id bigint,
  half_used_quota_ids bigint[]
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
begin
  return query
  with costs as (
    select h.tenant_id, sum(h.cost_usd) as usd
    from spend.hourly_costs as h
    where h.tenant_id = any (p_tenant_ids) and h.hour >= date_trunc('month', now(), 'UTC')
    group by h.tenant_id
  ),

  quotas as (
    select q.tenant_id, q.id as quota_id, o.is_below_threshold,
      spend_private.utilization_percent(o.used_usd, q.limit_usd) as percent
    from spend.cost_quotas as q
    join (
      select b.quota_id, b.period_start, bool_and(b.is_below_threshold) as is_below_threshold,
        sum(b.spent_usd + b.reserved_usd) as used_usd
      from spend_private.quota_balances as b
      where b.quota_id = any (array(select u.id from spend.cost_quotas as u where u.tenant_id = any (p_tenant_ids)))
        and b.period_start <= now() and b.period_end > now()
      group by b.quota_id, b.period_start
    ) as o on o.quota_id = q.id
  ),

  fullest as (
    select
      q.tenant_id, max(q.percent) as percent, (array_agg(q.quota_id order by q.percent desc, q.quota_id))[1] as quota_id,
      array_agg(q.quota_id) filter (where q.percent >= 50 and q.is_below_threshold) as half_used
    from quotas as q
    group by q.tenant_id
  )

  select t.id, coalesce(c.usd, 0), f.percent, f.quota_id, coalesce(f.half_used, '{}')
  from unnest(p_tenant_ids) as t (id)
  left join costs as c on c.tenant_id = t.id
  left join fullest as f on f.tenant_id = t.id;
end;
$$;
comment on function spend_private.tenant_standings is
  'Of each of these tenants: USD booked in this month of UTC, its fullest quota, and those that are half used. See spend.fleet_line, spend_private.surveys.';

create function spend_private.survey_spend(p_tenants integer default 2000)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_tenant_ids uuid[];
begin
  if not spend_private.is_large_fleet() then
    return 0;
  end if;
  v_tenant_ids := array(
    select f.id
    from (
      (
        select t.id, '-infinity'::timestamptz as surveyed_at
        from spend.tenants as t
        where not exists (select from spend_private.surveys as s where s.tenant_id = t.id)
        limit p_tenants
      )
      union all
      (
        select s.tenant_id, s.surveyed_at
        from spend_private.surveys as s
        where s.surveyed_at <= now() - interval '10 minutes'
        order by s.surveyed_at
        limit p_tenants
      )
    ) as f
    order by f.surveyed_at
    limit p_tenants
  );

  delete from spend_private.unusual_days as u where u.day < (now() at time zone 'UTC')::date - 91;
  -- Late bookings and credits change days that are over.
  delete from spend_private.unusual_days as u
  using spend.tenants as t
  where u.tenant_id = any (v_tenant_ids) and t.id = u.tenant_id and u.day > (now() at time zone t.time_zone)::date - 7;
  insert into spend_private.unusual_days (tenant_id, day, cost_usd, below_factor, comparisons, surveyed_at)
  select j.tenant_id, j.day, j.cost_usd, j.below_factor, j.comparisons, now()
  from spend_private.judged_days(v_tenant_ids, null, '{}', 7, 4, 1) as j
  where j.below_factor > 3;

  delete from spend_private.surveys as s
  where s.tenant_id = any (v_tenant_ids) and not exists (select from spend.tenants as t where t.id = s.tenant_id);
  insert into spend_private.surveys as s (tenant_id, month, month_usd, worst_percent, half_used_quota_ids, surveyed_at)
  select n.tenant_id, date_trunc('month', now(), 'UTC'), n.month_usd, n.worst_percent, n.half_used_quota_ids, now()
  from spend_private.tenant_standings(v_tenant_ids) as n
  where exists (select from spend.tenants as t where t.id = n.tenant_id)
  on conflict on constraint surveys_pkey do update set
    month = excluded.month, month_usd = excluded.month_usd, worst_percent = excluded.worst_percent,
    half_used_quota_ids = excluded.half_used_quota_ids, surveyed_at = excluded.surveyed_at;
  return cardinality(v_tenant_ids);
end;
$$;
comment on function spend_private.survey_spend is
  'Looks at the tenants that were not looked at for the longest time, p_tenants of them, and at none twice in ten minutes; returns how many. In a project of up to 1,000 tenants it does nothing: feeds look at all of them themselves. With a run every minute, 100,000 tenants are seen within the hour.';
