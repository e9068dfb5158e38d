create type spend.unusual_day as (
  tenant_id uuid,
  day date,
  cost_usd numeric,
  usual_usd numeric,
  threshold_usd numeric
);
comment on type spend.unusual_day is
  'Line of spend.unusual_spend: a day that stands out, what it cost, what such a day usually costs (median), and from which cost on it stands out, in USD.';
comment on column spend.unusual_day.tenant_id is 'Tenant that pays.';
comment on column spend.unusual_day.day is 'Day in the tenant''s time zone; today''s is not over.';
comment on column spend.unusual_day.cost_usd is 'USD booked that day, as far as the reader sees it.';
comment on column spend.unusual_day.usual_usd is 'Median of the days of the weeks before, in USD; days without spend count.';
comment on column spend.unusual_day.threshold_usd is 'USD above which the day stands out.';

create function spend.unusual_spend(
  tenant_id uuid default null,
  days integer default 7,
  weeks integer default 4,
  factor numeric default 4,
  at_least_usd numeric default 1
)
returns setof spend.unusual_day
language plpgsql stable
-- Invoker: row-level security decides whose spend the reader sees.
security invoker
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_days integer := unusual_spend.days;
  v_baseline integer;
begin
  if v_days is null or v_days not between 1 and 366
    or unusual_spend.weeks is null or unusual_spend.weeks not between 1 and 52
    or unusual_spend.factor is null or unusual_spend.factor <= 0 or unusual_spend.at_least_usd is null
    or unusual_spend.factor in ('NaN', 'Infinity') or unusual_spend.at_least_usd in ('NaN', 'Infinity', '-Infinity')
  then
    raise exception using
      errcode = '22023', message = 'invalid_report',
      detail = jsonb_build_object(
        'days', v_days, 'weeks', unusual_spend.weeks, 'factor', unusual_spend.factor,
        'at_least_usd', unusual_spend.at_least_usd
      )::text,
      hint = 'days: 1 to 366; weeks: 1 to 52; factor: above 0; at_least_usd: an amount.';
  end if;
  v_baseline := 7 * unusual_spend.weeks;

  return query
  with spent as (
    select
      c.tenant_id, (c.hour at time zone t.time_zone)::date as day, sum(c.cost_usd) as cost_usd
    from spend.hourly_costs as c
    join spend.tenants as t on t.id = c.tenant_id
    where c.hour >= now() - make_interval(days => v_days + v_baseline + 1)
      and (unusual_spend.tenant_id is null or c.tenant_id = unusual_spend.tenant_id)
    group by 1, 2
  ),

  calendar as (
    -- Days without spend count too, but not those before there was a tenant.
    select f.tenant_id, g.at::date as day, coalesce(s.cost_usd, 0) as cost_usd, f.today
    from (
      select
        t.id as tenant_id, (now() at time zone t.time_zone)::date as today,
        least((t.created_at at time zone t.time_zone)::date, min(s.day)) as first_day
      from spent as s
      join spend.tenants as t on t.id = s.tenant_id
      group by t.id
    ) as f
    cross join lateral generate_series(
      greatest(f.first_day, f.today - v_days - v_baseline + 1)::timestamp, f.today::timestamp, '1 day'
    ) as g (at)
    left join spent as s on s.tenant_id = f.tenant_id and s.day = g.at::date
  ),

  usual as (
    select
      d.tenant_id, d.day, d.cost_usd, count(*) as days,
      percentile_disc(0.5) within group (order by b.cost_usd) as usual_usd,
      array_agg(b.cost_usd) as costs
    from calendar as d
    join calendar as b on b.tenant_id = d.tenant_id and b.day >= d.day - v_baseline and b.day < d.day
    where d.day > d.today - v_days and d.cost_usd >= unusual_spend.at_least_usd
    group by d.tenant_id, d.day, d.cost_usd
  ),

  judged as (
    select
      u.tenant_id, u.day, u.cost_usd, u.usual_usd,
      -- 1.4826 median deviations are one standard deviation, whatever a few odd days cost; a steady
      -- spend has almost none, and a tenth more than usual is nothing to wake anybody for.
      u.usual_usd + unusual_spend.factor * greatest(
        1.4826 * (
          select percentile_disc(0.5) within group (order by abs(c.usd - u.usual_usd))
          from unnest(u.costs) as c (usd)
        ),
        u.usual_usd / 10
      ) as threshold_usd
    from usual as u
    where u.days >= 7
  )

  select j.tenant_id, j.day, j.cost_usd, j.usual_usd, trunc(j.threshold_usd, 12)
  from judged as j
  where j.cost_usd > j.threshold_usd
  order by j.day, j.cost_usd - j.threshold_usd desc, j.tenant_id;
end;
$$;
comment on function spend.unusual_spend is
  'Days among the last so many days (today''s spend so far included) that cost a tenant far more than the weeks before them: above the median of these by factor times their spread (median absolute deviation as a standard deviation, at least a tenth of the median), and at_least_usd. Needs a week of history. By one tenant, or all that the reader sees; a member sees his own spend judged.
Errors: 22023 invalid_report.';
grant execute on function spend.unusual_spend to authenticated, service_role;
