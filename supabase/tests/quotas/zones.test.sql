begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(17);

-- Every zone that a tenant may have, once per set of changes that it has in common with others.
create temp table zones as
with weeks as (
  select z.name, d as at, (d at time zone z.name) - (d at time zone 'UTC') as clock_offset
  from (select n.name from pg_timezone_names as n where spend_private.is_time_zone(n.name) offset 0) as z
  cross join generate_series('2017-01-01 00:00+00'::timestamptz, '2027-01-05 00:00+00', '168 hours') as d
)
select min(f.name) as name, f.history
from (
  select d.name, array_agg((d.at, d.clock_offset)::text order by d.at) as history
  from (
    select d.*, lag(d.clock_offset) over (partition by d.name order by d.at) as before from weeks as d
  ) as d
  where d.clock_offset is distinct from d.before
  group by d.name
) as f
group by f.history;
select ok((select count(*) from zones) > 80, 'There are more than 80 different time zones');

create temp table changes as
select distinct on (c.at, c.before, c.after) z.name as zone, c.*
from zones as z
cross join generate_series('2017-01-01 00:00+00'::timestamptz, '2027-01-05 00:00+00', '168 hours') as d
cross join lateral (
  select a.at,
    ((a.at - interval '1 second') at time zone z.name) - ((a.at - interval '1 second') at time zone 'UTC') as before,
    (a.at at time zone z.name) - (a.at at time zone 'UTC') as after
  from (select spend_private.clock_change(d, d + interval '168 hours', z.name) as at) as a
  where a.at is not null
) as c
order by c.at, c.before, c.after, z.name;
select ok((select count(*) from changes) > 400, 'There are more than 400 different changes of a clock in ten years');
select is(
  (select count(*) from changes as c where c.before = c.after or c.at <> date_trunc('minute', c.at)), 0::bigint,
  'Each change of a clock changes it, at a full minute'
);
insert into changes (zone, at)
select h.zone, spend_private.clock_change(h.day, h.day + interval '24 hours', h.zone)
from (
  values
    ('Pacific/Apia', '2011-12-29 12:00+00'::timestamptz), -- no 30 December
    ('America/St_Johns', '2010-11-06 12:00+00'), -- from 00:01 back to 23:01
    ('America/Caracas', '2016-04-30 12:00+00'), ('Asia/Pyongyang', '2015-08-14 12:00+00'),
    ('Asia/Pyongyang', '2018-05-04 00:00+00'), -- from 23:30 to midnight
    ('Pacific/Norfolk', '2015-10-03 12:00+00'),
    ('Antarctica/Troll', '2016-03-26 12:00+00'),
    ('Africa/Monrovia', '1972-01-06 12:00+00') -- by 44 minutes and a half
) as h (zone, day);
select is((select count(*) from changes as c where c.at is null), 0::bigint, 'Eight changes of other years, among them the oddest, are found');

-- The time around each change, and the period that each minute lies in.
create temp table minutes as
select c.at as change, c.zone, c.before, c.after, p.period, t.at, spend_private.period_bounds(p.period, c.zone, t.at) as bounds
from changes as c
cross join generate_series(-150, 150) as m (minute)
cross join lateral (select c.at + make_interval(mins => m.minute) as at) as t
cross join unnest(array['hour', 'day', 'week', 'month']) as p (period)
-- Changes by an hour are all alike; each minute of the odd ones.
where case
  when p.period in ('week', 'month') then m.minute % 30 = 0
  when (c.after - c.before) in ('1 hour', '-1 hour') then m.minute % 15 = 0 or abs(m.minute) in (1, 59, 61)
  else p.period = 'day' or m.minute between -65 and 65
end;
select is((select count(*) from minutes as m where not m.bounds @> m.at), 0::bigint, 'Every moment lies in its period');
select is(
  (select count(*) from (
    select m.*, lead(m.bounds) over (partition by m.change, m.zone, m.before, m.after, m.period order by m.at) as next from minutes as m
  ) as m where m.next <> m.bounds and lower(m.next) <> upper(m.bounds)), 0::bigint,
  'The next minute lies in the same period, or in one that begins where that ends'
);
select is(
  (select count(*) from (
    select m.*, lead(m.bounds) over (partition by m.change, m.zone, m.before, m.after, m.period order by m.at) as next,
      lead(m.at) over (partition by m.change, m.zone, m.before, m.after, m.period order by m.at) as next_at
    from minutes as m
  ) as m where m.next <> m.bounds and not (upper(m.bounds) > m.at and upper(m.bounds) <= m.next_at)), 0::bigint,
  'A period that ends between two minutes ends between the two'
);
select is(
  (select count(*) from minutes as m where spend_private.period_start(m.period, m.zone, m.at) <> lower(m.bounds)), 0::bigint,
  'period_start answers where the period begins'
);
select is(
  (select count(*) from (select distinct m.zone, m.period, m.bounds from minutes as m) as m
   where spend_private.period_bounds(m.period, m.zone, lower(m.bounds)) <> m.bounds
     or spend_private.period_bounds(m.period, m.zone, upper(m.bounds) - interval '1 microsecond') <> m.bounds
     or lower(spend_private.period_bounds(m.period, m.zone, upper(m.bounds))) <> upper(m.bounds)), 0::bigint,
  'A period includes its first and its last microsecond, and not the one after'
);
select is(
  (select count(*) from (select distinct m.zone, m.bounds from minutes as m where m.period = 'hour') as m
   where upper(m.bounds) - lower(m.bounds) > interval '1 hour'
     or lower(m.bounds) at time zone m.zone <> date_trunc('hour', lower(m.bounds) at time zone m.zone)
     and lower(m.bounds) not in (select c.at from changes as c)
     or date_trunc('hour', lower(m.bounds) at time zone m.zone)
       <> date_trunc('hour', (upper(m.bounds) - interval '1 microsecond') at time zone m.zone)),
  0::bigint, 'An hour is never longer than an hour, begins at a full hour or at a change, and shows one hour of the clock'
);

-- What the day is, told another way: by a clock that never goes back.
create temp table calendar as
select c.at as change, c.zone, c.before, c.after, t.at,
  max(t.at at time zone c.zone) over (partition by c.at, c.zone, c.before, c.after order by t.at)::date as day
from changes as c
cross join generate_series(-3000, 1600) as m (minute)
cross join lateral (select c.at + make_interval(mins => m.minute) as at) as t
where c.zone <> 'Africa/Monrovia' and (m.minute % 5 = 0 or abs(m.minute) < 5);
select is(
  (select count(*) from (
    select c.change, c.zone, c.before, c.after, c.day, min(c.at) as first, max(c.at) as last
    from calendar as c
    group by c.change, c.zone, c.before, c.after, c.day
    having min(c.at) > c.change - interval '3000 minutes'
  ) as d
  cross join lateral (select lower(spend_private.period_bounds('day', d.zone, d.last)) as start) as b
  where b.start > d.first or b.start <= d.first - interval '5 minutes'), 0::bigint,
  'A day begins when the clock first shows its date'
);

-- Ten years in every zone.
create temp table days as
select z.name as zone, p.period, d as at, spend_private.period_bounds(p.period, z.name, d) as bounds
from zones as z
cross join generate_series('2017-01-01 12:00+00'::timestamptz, '2027-01-01 12:00+00', '471 hours') as d
cross join unnest(array['hour', 'day', 'week', 'month']) as p (period);
select is((select count(*) from days as d where not d.bounds @> d.at), 0::bigint, 'In ten years of every zone, a moment lies in its hour, day, week and month');
select is(
  (select count(*) from days as d
   where lower(spend_private.period_bounds(d.period, d.zone, upper(d.bounds))) <> upper(d.bounds)), 0::bigint,
  'In ten years of every zone, a period begins where the one before ends'
);
select is(
  (select count(*) from days as d where spend_private.period_start(d.period, d.zone, d.at) <> lower(d.bounds)), 0::bigint,
  'In ten years of every zone, period_start answers where the period begins'
);
select is(
  spend_private.period_bounds('lifetime', 'America/Havana', '2026-11-01 04:30+00'), tstzrange('-infinity', 'infinity'),
  'A lifetime has no time zone'
);

-- The roll-ups' hours.
insert into spend.tenants (id, name, time_zone)
select md5(z.zone)::uuid, z.zone, z.zone from (select distinct c.zone from changes as c) as z;
insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd)
select distinct md5(m.zone)::uuid, m.at + interval '59.999999 seconds', 'adjustment', 'llm', 1
from minutes as m
where m.period = 'hour';
select is(
  (select count(*)
   from spend_private.events_by_hour as e
   join spend.tenants as t on t.id = e.tenant_id
   where e.hour > e.occurred_at
     or spend_private.period_bounds('hour', t.time_zone, e.hour) <> spend_private.period_bounds('hour', t.time_zone, e.occurred_at)
     or date_trunc('month', e.hour, 'UTC') <> date_trunc('month', e.occurred_at, 'UTC')), 0::bigint,
  'An event is rolled up into its hour in the tenant''s zone, and into its month in UTC'
);
select throws_ok(
  $$ insert into spend.tenants (name, time_zone) values ('X', 'Europe/Dublni5') $$, '22023', null,
  'A misspelt zone that PostgreSQL takes for an offset is refused'
);
select * from finish();
rollback;
