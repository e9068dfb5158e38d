begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(17);

create function pg_temp.bounds(p_period text, p_zone text, p_now timestamptz) returns text language sql as $$
  select format('%s .. %s', lower(b) at time zone 'UTC', upper(b) at time zone 'UTC')
  from spend_private.period_bounds(p_period, p_zone, p_now) as b
$$;
create function pg_temp.hours(p_period text, p_zone text, p_now timestamptz) returns numeric language sql as $$
  select extract(epoch from upper(b) - lower(b)) / 3600 from spend_private.period_bounds(p_period, p_zone, p_now) as b
$$;

select is(pg_temp.bounds('hour', 'UTC', '2026-03-01 10:59:59.999999+00'), '2026-03-01 10:00:00 .. 2026-03-01 11:00:00', 'An hour goes from its first to its last microsecond');
select is(pg_temp.bounds('hour', 'Asia/Kolkata', '2026-03-01 10:45+00'), '2026-03-01 10:30:00 .. 2026-03-01 11:30:00', 'An hour in Kolkata begins at half past');
select is(pg_temp.bounds('day', 'Europe/Dublin', '2026-07-01 23:30+00'), '2026-07-01 23:00:00 .. 2026-07-02 23:00:00', 'A summer day in Dublin begins at 23:00 UTC');
select is(pg_temp.bounds('week', 'UTC', '2026-03-01 00:00+00'), '2026-02-23 00:00:00 .. 2026-03-02 00:00:00', 'A week begins on Monday');
select is(pg_temp.bounds('month', 'UTC', '2028-02-29 12:00+00'), '2028-02-01 00:00:00 .. 2028-03-01 00:00:00', 'February of a leap year ends with its 29th day');
select is(pg_temp.bounds('month', 'UTC', '2026-01-31 23:59:59.999999+00'), '2026-01-01 00:00:00 .. 2026-02-01 00:00:00', 'The last microsecond of January is in January');
select is(pg_temp.bounds('month', 'UTC', '2026-02-01 00:00+00'), '2026-02-01 00:00:00 .. 2026-03-01 00:00:00', 'The first microsecond of February is in February');
select is(pg_temp.bounds('month', 'Pacific/Auckland', '2026-12-31 12:00+00'), '2026-12-31 11:00:00 .. 2027-01-31 11:00:00', 'A year begins earlier in Auckland');
select is(pg_temp.bounds('lifetime', 'UTC', '2026-02-01 00:00+00'), '-infinity .. infinity', 'A lifetime has no bounds');

-- DST: Dublin leaves summer time on 2026-10-25 and enters it on 2026-03-29.
select is(pg_temp.hours('day', 'Europe/Dublin', '2026-10-25 12:00+00'), 25::numeric, 'The day on which Dublin leaves summer time has 25 hours');
select is(pg_temp.hours('day', 'Europe/Dublin', '2026-03-29 12:00+00'), 23::numeric, 'The day on which Dublin enters summer time has 23 hours');
select is(pg_temp.bounds('day', 'Europe/Dublin', '2026-10-25 12:00+00'), '2026-10-24 23:00:00 .. 2026-10-26 00:00:00', 'The day on which Dublin leaves summer time goes from midnight to midnight there');
select is(pg_temp.bounds('hour', 'Europe/Dublin', '2026-10-25 00:30+00'), '2026-10-25 00:00:00 .. 2026-10-25 01:00:00', 'The first hour from one to two is an hour of its own');
select is(pg_temp.bounds('hour', 'Europe/Dublin', '2026-10-25 01:30+00'), '2026-10-25 01:00:00 .. 2026-10-25 02:00:00', 'The second hour from one to two is another');
-- The period of each hour of two years.
create temp table hours as
select p.period, z.zone, t.at, spend_private.period_bounds(p.period, z.zone, t.at) as bounds
from generate_series('2026-01-01 00:00+00'::timestamptz, '2027-12-31 23:00+00', '1 hour') as t (at)
cross join unnest(array['hour', 'day', 'week', 'month']) as p (period)
cross join unnest(array['UTC', 'Europe/Dublin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Beirut']) as z (zone);
select is((select count(*) from hours as h where not h.bounds @> h.at), 0::bigint, 'In two years of hours every moment lies in its period');
select is(
  (select count(*) from (select distinct h.period, h.zone, h.bounds from hours as h where h.period <> 'hour') as h
   where lower(spend_private.period_bounds(h.period, h.zone, upper(h.bounds))) <> upper(h.bounds)), 0::bigint,
  'In two years of hours every period begins where the one before ends'
);
select throws_ok(
  $$ insert into spend.tenants (name, time_zone) values ('X', 'Mars/Olympus') $$, '22023', null, 'A tenant with an unknown time zone is refused'
);

select * from finish();
rollback;
