create type spend.unusual_day as (
  tenant_id uuid,
  day date,
  cost_usd numeric,
  usual_usd numeric,
  threshold_usd numeric,
  as_of timestamptz,
  total bigint
);
comment on type spend.unusual_day is
  'Line of spend.unusual_spend: a day that stands out, what it cost, what such a day usually costs (median of the days that it is compared with), and the cost above which it stands out, in USD.';
comment on column spend.unusual_day.tenant_id is 'Tenant that pays.';
comment on column spend.unusual_day.day is 'Day in the tenant''s time zone; today''s is not over.';
comment on column spend.unusual_day.cost_usd is 'USD booked that day, as far as the reader sees it.';
comment on column spend.unusual_day.usual_usd is 'Median in USD of the days of the weeks before that it is compared with: all of them, those of the same weekday, or, where fewer than half had spend, those that had.';
comment on column spend.unusual_day.threshold_usd is 'USD above which the day stands out.';
comment on column spend.unusual_day.as_of is 'When this was so: now, or, in a project of more than 1,000 tenants, when the job survey_spend last looked at the tenant.';
comment on column spend.unusual_day.total is 'Days on all pages together.';

create function spend.unusual_spend(
  tenant_id uuid default null,
  days integer default 7,
  weeks integer default 4,
  factor numeric default 4,
  at_least_usd numeric default 1,
  top integer default 1000,
  skip integer default 0
)
returns setof spend.unusual_day
language plpgsql stable
-- Definer: what the survey keeps is in spend_private. Whose spend the reader sees is decided as the policies on roll-ups do.
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_sees_all boolean := spend_private.may_operate();
  v_member_of uuid[] := array(select spend_private.member_tenant_ids());
  v_manages uuid[] := array(select spend_private.managed_tenant_ids());
  v_tenant_ids uuid[];
begin
  if unusual_spend.days is null or unusual_spend.days not between 1 and 366
    or unusual_spend.weeks is null or unusual_spend.weeks not between 1 and 52
    or unusual_spend.factor is null or unusual_spend.factor <= 0 or unusual_spend.at_least_usd is null
    or unusual_spend.factor in ('NaN', 'Infinity') or unusual_spend.at_least_usd in ('NaN', 'Infinity', '-Infinity')
    or unusual_spend.top is null or unusual_spend.top not between 1 and 1000
    or unusual_spend.skip is null or unusual_spend.skip < 0
  then
    raise exception using
      errcode = '22023', message = 'invalid_report',
      detail = jsonb_build_object(
        'days', unusual_spend.days, 'weeks', unusual_spend.weeks, 'factor', unusual_spend.factor,
        'at_least_usd', unusual_spend.at_least_usd, 'top', unusual_spend.top, 'skip', unusual_spend.skip
      )::text,
      hint = 'days: 1 to 366; weeks: 1 to 52; factor: above 0; at_least_usd: an amount; top: 1 to 1000; skip: 0 or more.';
  end if;

  -- What the survey keeps, where it keeps all that is asked for.
  if unusual_spend.tenant_id is null and v_sees_all
    and unusual_spend.weeks = 4 and unusual_spend.factor >= 3 and unusual_spend.at_least_usd >= 1
    and spend_private.is_large_fleet()
  then
    return query
    select u.* from spend_private.surveyed_days(
      unusual_spend.days, unusual_spend.factor, unusual_spend.at_least_usd, unusual_spend.top, unusual_spend.skip
    ) as u;
    return;
  end if;

  -- Only these tenants can have such a day: read only their weeks.
  v_tenant_ids := array(
    select r.tenant_id
    from (
      select c.tenant_id
      from spend.hourly_costs as c
      join spend.tenants as t on t.id = c.tenant_id
      where c.hour >= now() - make_interval(days => unusual_spend.days + 1)
        and (unusual_spend.tenant_id is null or c.tenant_id = unusual_spend.tenant_id)
        and (v_sees_all or c.tenant_id = any (v_member_of))
        and (v_sees_all or c.user_id = (select auth.uid()) or c.tenant_id = any (v_manages))
      group by c.tenant_id, (c.hour at time zone t.time_zone)::date
      having sum(c.cost_usd) >= unusual_spend.at_least_usd
    ) as r
    group by r.tenant_id
  );
  return query
  select j.tenant_id, j.day, j.cost_usd, c.usual_usd, c.threshold_usd, now(), count(*) over ()
  from spend_private.judged_days(
    v_tenant_ids, case when not v_sees_all then auth.uid() end, v_manages, unusual_spend.days, unusual_spend.weeks,
    unusual_spend.at_least_usd
  ) as j
  cross join lateral spend_private.decisive_comparison(j.comparisons, unusual_spend.factor) as c
  where j.cost_usd > c.threshold_usd
  order by j.day desc, j.cost_usd desc, j.tenant_id
  limit unusual_spend.top offset unusual_spend.skip;
end;
$$;
comment on function spend.unusual_spend is
  'Days among the last so many days (today''s spend so far included) that cost a tenant far more than the weeks before them: above the median of these by factor times their spread (median absolute deviation as a standard deviation, at least a tenth of the median), likewise above the same days of the week, and at least at_least_usd. With spend on fewer than half of the days, only these days are compared, and the day must cost more than any of them. Needs a week of history. For one tenant, or for all that the reader sees; a member''s own spend is compared with itself. The newest day first, of each the dearest; pages of top rows after skip.
In a project of more than 1,000 tenants, operators and service_role read of all tenants what the job survey_spend has found (as_of), of 90 days at most. A factor below 3, at_least_usd below 1 and other weeks than 4 read the whole ledger of these weeks.
Errors: 22023 invalid_report.';
grant execute on function spend.unusual_spend to authenticated, service_role;

create function spend_private.surveyed_days(
  p_days integer,
  p_factor numeric,
  p_at_least_usd numeric,
  p_top integer,
  p_skip integer
)
returns setof spend.unusual_day
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  -- A tenant's day may be a day ahead of UTC, or behind.
  v_first date := (now() at time zone 'UTC')::date - p_days;
begin
  return query
  with page as materialized (
    select u.tenant_id, u.day, u.cost_usd::numeric, u.comparisons, u.surveyed_at
    from spend_private.unusual_days as u
    join spend.tenants as t on t.id = u.tenant_id
    where u.day >= v_first and u.day > (now() at time zone t.time_zone)::date - p_days
      and u.below_factor > p_factor and u.cost_usd >= p_at_least_usd
    order by u.day desc, u.cost_usd desc, u.tenant_id
    limit p_top offset p_skip
  )

  select p.tenant_id, p.day, p.cost_usd, c.usual_usd, c.threshold_usd, p.surveyed_at, (
    select count(*)
    from spend_private.unusual_days as u
    join spend.tenants as t on t.id = u.tenant_id
    where u.day >= v_first and u.day > (now() at time zone t.time_zone)::date - p_days
      and u.below_factor > p_factor and u.cost_usd >= p_at_least_usd
  )
  from page as p
  cross join lateral spend_private.decisive_comparison(p.comparisons, p_factor) as c
  order by p.day desc, p.cost_usd desc, p.tenant_id;
end;
$$;
comment on function spend_private.surveyed_days is
  'A page of spend.unusual_spend, as the job survey_spend has found it.';

create function spend_private.decisive_comparison(
  p_comparisons spend_private.comparison[],
  p_factor numeric,
  out usual_usd numeric,
  out threshold_usd numeric
)
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  select c.usual_usd, trunc(greatest(c.usual_usd + p_factor * c.spread_usd, c.floor_usd), 12)
  into decisive_comparison.usual_usd, decisive_comparison.threshold_usd
  from unnest(p_comparisons) as c
  order by 2 desc, 1 desc
  limit 1;
end;
$$;
comment on function spend_private.decisive_comparison is
  'Of what a day is compared with, that with the greatest threshold.';

create function spend_private.judged_days(
  p_tenant_ids uuid[],
  p_user_id uuid,
  p_managed uuid[],
  p_days integer,
  p_weeks integer,
  p_at_least_usd numeric
)
returns table (
  tenant_id uuid,
  day date,
  cost_usd numeric,
  below_factor numeric,
  comparisons spend_private.comparison[]
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_baseline integer := 7 * p_weeks;
begin
  return query
  with spent as materialized (
    select
      c.tenant_id, (c.hour at time zone t.time_zone)::date as day, sum(c.cost_usd) as cost_usd
    from spend.hourly_costs as c
    join spend.tenants as t on t.id = c.tenant_id
    where c.hour >= now() - make_interval(days => p_days + v_baseline + 1)
      and c.tenant_id = any (p_tenant_ids)
      and (p_user_id is null or c.user_id = p_user_id or c.tenant_id = any (p_managed))
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
      greatest(f.first_day, f.today - p_days - v_baseline + 1)::timestamp, f.today::timestamp, '1 day'
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
    where d.day > d.today - p_days and d.cost_usd >= p_at_least_usd
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
    select
      c.tenant_id, c.day, c.cost_usd,
      row(
        coalesce(c.usual_usd, 0),
        -- 1.4826 median deviations are one standard deviation, and ignore a few odd days. Steady spend has almost none:
        -- a tenth of the usual spend is the least.
        coalesce(greatest(
          1.4826 * (
            select percentile_disc(0.5) within group (order by abs(d.usd - c.usual_usd)) from unnest(c.costs) as d (usd)
          ),
          c.usual_usd / 10
        ), 0),
        coalesce(c.at_least_usd, 0)
      )::spend_private.comparison as comparison
    from compared as c
  )

  select
    j.tenant_id, j.day, j.cost_usd,
    min(case
      when j.cost_usd <= (j.comparison).floor_usd or j.cost_usd <= (j.comparison).usual_usd then 0
      when (j.comparison).spread_usd > 0 then (j.cost_usd - (j.comparison).usual_usd) / (j.comparison).spread_usd
      else 'Infinity'
    end),
    array_agg(j.comparison)
  from judged as j
  group by j.tenant_id, j.day, j.cost_usd;
end;
$$;
comment on function spend_private.judged_days is
  'Of these tenants (with p_user_id, of all that are not in p_managed only that user''s spend), the last so many days that cost at least so much and have a week of history: what they are compared with (spend.unusual_spend), and the factor below which they stand out.';
