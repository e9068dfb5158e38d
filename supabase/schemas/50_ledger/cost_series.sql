create type spend.cost_point as (
  starts_at timestamptz,
  key text,
  is_other boolean,
  cost_usd numeric,
  calls bigint
);
comment on type spend.cost_point is
  'Point of spend.cost_series: the cost of one group in one bucket.';
comment on column spend.cost_point.starts_at is 'Begin of the hour, day, week or month, in the tenant''s time zone (all tenants: UTC).';
comment on column spend.cost_point.key is 'Value of what the series is grouped by. Null: not grouped, or costs that have none (an adjustment has no product).';
comment on column spend.cost_point.is_other is 'The sum of all groups that are not among the top.';
comment on column spend.cost_point.cost_usd is 'USD booked; 0 where nothing was.';
comment on column spend.cost_point.calls is 'Calls booked.';

create function spend.cost_series(
  bucket text default 'day',
  tenant_id uuid default null,
  from_day date default null,
  to_day date default null,
  group_by text default null,
  top integer default 5,
  user_id uuid default null
)
returns setof spend.cost_point
language plpgsql stable
-- Invoker: row-level security decides whose spend the reader sees.
security invoker
set search_path = pg_catalog, pg_temp
-- Whom it is about decides how to read.
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_zone text := coalesce((select t.time_zone from spend.tenants as t where t.id = cost_series.tenant_id), 'UTC');
  v_today date := (now() at time zone v_zone)::date;
  v_to date := coalesce(cost_series.to_day, v_today);
  v_from date := coalesce(cost_series.from_day, v_to - 29);
  v_top integer := coalesce(cost_series.top, 5);
  v_days integer;
  v_start timestamptz;
  v_end timestamptz;
begin
  if cost_series.bucket is null or cost_series.bucket not in ('hour', 'day', 'week', 'month')
    or cost_series.group_by not in ('product', 'provider', 'user', 'task', 'resource_type')
    or v_top not between 1 and 50
    or not isfinite(v_from) or not isfinite(v_to)
    or v_from not between '0001-01-01' and '9999-12-31' or v_to not between '0001-01-01' and '9999-12-31'
  then
    v_days := null;
  else
    v_days := v_to - v_from + 1;
  end if;
  if v_days is null or v_days > 1100 or (cost_series.bucket = 'hour' and v_days > 31) then
    raise exception using
      errcode = '22023', message = 'invalid_report',
      detail = jsonb_build_object(
        'bucket', cost_series.bucket, 'group_by', cost_series.group_by, 'top', cost_series.top,
        'from_day', cost_series.from_day, 'to_day', cost_series.to_day
      )::text,
      hint = 'bucket: hour (31 days at most), day, week or month (1100 days at most); group_by: product, provider, user, task, resource_type or null; top: 1 to 50; from_day, to_day: of the years 1 to 9999.';
  end if;
  -- Where midnight comes twice, the day begins with the first: what is read begins early enough, and days decide.
  v_start := v_from::timestamp at time zone v_zone;
  v_start := coalesce((
    select min(g)
    from generate_series(v_start - interval '3 hours', v_start, interval '15 minutes') as g
    where (g at time zone v_zone)::date = v_from
  ), v_start);
  v_end := (v_to + 1)::timestamp at time zone v_zone;

  return query
  with costs as materialized (
    select
      h.hour, h.cost_usd, h.calls,
      -- Text without a null, so that groups are joined by equality.
      case cost_series.group_by
        when 'product' then coalesce('=' || h.product, '')
        when 'provider' then coalesce('=' || h.provider, '')
        when 'user' then coalesce('=' || h.user_id::text, '')
        when 'task' then coalesce('=' || h.task, '')
        when 'resource_type' then '=' || h.resource_type
        else ''
      end as label
    from spend.hourly_costs as h
    where h.hour >= v_start and h.hour < v_end
      and (h.hour at time zone v_zone)::date between v_from and v_to
      and (cost_series.tenant_id is null or h.tenant_id = cost_series.tenant_id)
      and (cost_series.user_id is null or h.user_id = cost_series.user_id)
  ),

  ranked as (
    select c.label, row_number() over (order by sum(c.cost_usd) desc, c.label) as place
    from costs as c
    group by c.label
  ),

  groups as (
    select distinct
      case when r.place <= v_top then r.label else '' end as label, r.place > v_top as is_other
    from ranked as r
    union
    -- A series without any cost is a line of zeros.
    select '', false where not exists (select from ranked)
  ),

  buckets as (
    select b.starts_at
    from (
      -- Hours by the clock of the world: the hour that comes twice is two. The others by the clock of the zone.
      select g at time zone 'UTC' as starts_at
      from generate_series(v_start at time zone 'UTC', (v_end - interval '1 second') at time zone 'UTC', interval '1 hour') as g
      where cost_series.bucket = 'hour'
        and ((g at time zone 'UTC') at time zone v_zone)::date between v_from and v_to
      union all
      select g at time zone v_zone
      from generate_series(
        date_trunc(cost_series.bucket, v_from::timestamp), v_to::timestamp, ('1 ' || cost_series.bucket)::interval
      ) as g
      where cost_series.bucket <> 'hour'
    ) as b
  ),

  points as (
    select
      case cost_series.bucket
        when 'hour' then v_start + floor(extract(epoch from c.hour - v_start) / 3600) * interval '1 hour'
        else date_trunc(cost_series.bucket, c.hour at time zone v_zone) at time zone v_zone
      end as starts_at,
      case when r.place <= v_top then c.label else '' end as label, r.place > v_top as is_other,
      sum(c.cost_usd) as cost_usd, sum(c.calls)::bigint as calls
    from costs as c
    join ranked as r on r.label = c.label
    group by 1, 2, 3
  )

  select
    b.starts_at, nullif(substr(g.label, 2), ''), g.is_other, coalesce(p.cost_usd, 0), coalesce(p.calls, 0)
  from buckets as b
  cross join groups as g
  left join points as p on p.starts_at = b.starts_at and p.label = g.label and p.is_other = g.is_other
  order by b.starts_at, g.is_other, g.label;
end;
$$;
comment on function spend.cost_series is
  'Booked cost over time, for a chart: one point for each bucket (hour, day, week or month) and group, gaps filled with 0, in the tenant''s time zone (tenant_id null: all that the reader sees, in UTC). from_day to to_day: both included; by default the last 30 days. group_by: product, provider, user, task or resource_type; the dearest top groups (1 to 50) are points of their own, the sum of the others one with is_other. user_id filters. The sum of all points is what spend.cost_report says of these days; the first and the last week or month hold only the days that were asked for.
Members see their own spend, owners and admins their tenant''s, operators and service_role all. Errors: 22023 invalid_report.';
grant execute on function spend.cost_series to authenticated, service_role;
