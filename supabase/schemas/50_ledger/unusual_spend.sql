create type spend.unusual_day as (
  tenant_id uuid,
  day date,
  cost_usd numeric,
  usual_usd numeric,
  threshold_usd numeric
);
comment on type spend.unusual_day is
  'Line of spend.unusual_spend: a day that stands out, what it cost, what such a day usually costs (median of the days that it is compared with), and the cost above which it stands out, in USD.';
comment on column spend.unusual_day.tenant_id is 'Tenant that pays.';
comment on column spend.unusual_day.day is 'Day in the tenant''s time zone; today''s is not over.';
comment on column spend.unusual_day.cost_usd is 'USD booked that day, as far as the reader sees it.';
comment on column spend.unusual_day.usual_usd is 'Median in USD of the days of the weeks before that it is compared with: all of them, those of the same weekday, or, where fewer than half had spend, those that had.';
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
  v_tenant_ids uuid[];
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

  -- Only these tenants can have such a day: read only their weeks.
  v_tenant_ids := array(
    select r.tenant_id
    from (
      select c.tenant_id
      from spend.hourly_costs as c
      join spend.tenants as t on t.id = c.tenant_id
      where c.hour >= now() - make_interval(days => v_days + 1)
        and (unusual_spend.tenant_id is null or c.tenant_id = unusual_spend.tenant_id)
      group by c.tenant_id, (c.hour at time zone t.time_zone)::date
      having sum(c.cost_usd) >= unusual_spend.at_least_usd
    ) as r
    group by r.tenant_id
  );

  return query
  with spent as materialized (
    select
      c.tenant_id, (c.hour at time zone t.time_zone)::date as day, sum(c.cost_usd) as cost_usd
    from spend.hourly_costs as c
    join spend.tenants as t on t.id = c.tenant_id
    where c.hour >= now() - make_interval(days => v_days + v_baseline + 1)
      and c.tenant_id = any (v_tenant_ids)
    group by 1, 2
  ),

  calendar as (
    -- Days without spend count too, but not those before the tenant existed.
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

  past as (
    select
      d.tenant_id, d.day, d.cost_usd, array_agg(b.cost_usd) as costs,
      coalesce(array_agg(b.cost_usd) filter (where b.cost_usd > 0), '{}') as active_costs,
      -- The same day of the week, if there are more than two.
      coalesce(array_agg(b.cost_usd) filter (where (d.day - b.day) % 7 = 0), '{}') as weekday_costs
    from calendar as d
    join calendar as b on b.tenant_id = d.tenant_id and b.day >= d.day - v_baseline and b.day < d.day
    where d.day > d.today - v_days and d.cost_usd >= unusual_spend.at_least_usd
    group by d.tenant_id, d.day, d.cost_usd
    having count(*) >= 7
  ),

  compared as (
    select p.tenant_id, p.day, p.cost_usd, w.costs, w.at_least_usd,
      (select percentile_disc(0.5) within group (order by c.usd) from unnest(w.costs) as c (usd)) as usual_usd
    from past as p
    cross join lateral (
      select p.costs, 0::numeric as at_least_usd where 2 * cardinality(p.active_costs) >= cardinality(p.costs)
      union all
      -- A tenant that spends on fewer than half of the days is compared with those days only: a day stands out that costs
      -- more than any of them.
      select p.active_costs, (select max(c.usd) from unnest(p.active_costs) as c (usd))
      where 2 * cardinality(p.active_costs) < cardinality(p.costs)
      union all
      select p.weekday_costs, 0 where cardinality(p.weekday_costs) > 2
    ) as w
  ),

  judged as (
    select distinct on (o.tenant_id, o.day) o.tenant_id, o.day, o.cost_usd, coalesce(o.usual_usd, 0) as usual_usd, o.threshold_usd
    from (
      select c.*,
        -- 1.4826 median deviations are one standard deviation, and ignore a few odd days. Steady spend has almost none:
        -- a tenth of the usual spend is the least.
        coalesce(greatest(
          c.usual_usd + unusual_spend.factor * greatest(
            1.4826 * (
              select percentile_disc(0.5) within group (order by abs(d.usd - c.usual_usd)) from unnest(c.costs) as d (usd)
            ),
            c.usual_usd / 10
          ),
          c.at_least_usd
        ), 0) as threshold_usd
      from compared as c
    ) as o
    order by o.tenant_id, o.day, o.threshold_usd desc, o.usual_usd desc
  )

  select j.tenant_id, j.day, j.cost_usd, j.usual_usd, trunc(j.threshold_usd, 12)
  from judged as j
  where j.cost_usd > j.threshold_usd
  order by j.day, j.cost_usd - j.threshold_usd desc, j.tenant_id;
end;
$$;
comment on function spend.unusual_spend is
  'Days among the last so many days (today''s spend so far included) that cost a tenant far more than the weeks before them: above the median of these by factor times their spread (median absolute deviation as a standard deviation, at least a tenth of the median), likewise above the same days of the week, and at least at_least_usd. With spend on fewer than half of the days, only these days are compared, and the day must cost more than any of them. Needs a week of history. For one tenant, or for all that the reader sees; a member''s own spend is compared with itself.
Errors: 22023 invalid_report.';
grant execute on function spend.unusual_spend to authenticated, service_role;
