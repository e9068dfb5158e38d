begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(40);
\ir ../support/signed_in.psql

-- Users: a owns A, b is a member of A, c owns B.
insert into auth.users (id, email)
select ('00000000-0000-4000-8000-00000000000' || u)::uuid, u || '@example.com' from unnest(array['a', 'b', 'c']) as u;
insert into spend.tenants (id, name, time_zone, created_at) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A', 'America/New_York', now() - interval '60 days'),
  ('bbbbbbbb-0000-4000-8000-000000000002', 'B', 'Asia/Kolkata', now() - interval '60 days');
delete from spend.cost_quotas;
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'owner'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'member'),
  ('bbbbbbbb-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000c', 'owner');
insert into spend.cost_events (
  booked_xid, kind, reservation_id, tenant_id, occurred_at, user_id, task, resource_type, provider, product, cost_usd, calls
)
select
  '3'::xid8, 'charge', gen_random_uuid(),
  (case e.tenant when 'a' then 'aaaaaaaa-0000-4000-8000-000000000001' else 'bbbbbbbb-0000-4000-8000-000000000002' end)::uuid,
  e.at::timestamptz, ('00000000-0000-4000-8000-00000000000' || e.usr)::uuid, 'chat', 'llm', 'openai', e.product, e.usd, 1
from (values
  -- New York's clock went from 2:00 to 3:00 on 8 March, and back from 2:00 to 1:00 on 1 November 2026.
  ('a', '2026-03-07 04:59+00', 'a', 'gpt', 1),   -- 6 March, 23:59
  ('a', '2026-03-08 06:30+00', 'a', 'gpt', 2),   -- 8 March, 1:30
  ('a', '2026-03-08 07:30+00', 'b', 'opus', 4),  -- 8 March, 3:30
  ('a', '2026-03-09 03:30+00', 'b', null, 8),    -- 8 March, 23:30
  ('a', '2026-11-01 05:30+00', 'a', 'gpt', 16),  -- 1 November, 1:30 for the first time
  ('a', '2026-11-01 06:30+00', 'a', 'gpt', 32),  -- 1 November, 1:30 for the second time
  -- Kolkata's hours begin at half past.
  ('b', '2026-04-01 10:29+00', 'c', 'gpt', 64), ('b', '2026-04-01 10:31+00', 'c', 'gpt', 128)
) as e (tenant, at, usr, product, usd);
select spend_private.roll_up();

-- The points of A that cost something, with the time in New York.
create function pg_temp.points(p_user text, p_arguments text) returns text language sql as $$
  select pg_temp.says(p_user, format(
    'select concat_ws('' '', to_char(starts_at at time zone ''America/New_York'', ''MM-DD HH24:MI''), key, case when is_other then ''other'' end, trim_scale(cost_usd))
     from spend.cost_series(tenant_id => ''aaaaaaaa-0000-4000-8000-000000000001'', bucket => %s) where cost_usd <> 0', p_arguments
  ))
$$;
create function pg_temp.count(p_arguments text) returns text language sql as $$
  select pg_temp.says('a', format(
    'select count(*) from spend.cost_series(tenant_id => ''aaaaaaaa-0000-4000-8000-000000000001'', bucket => %s)', p_arguments
  ))
$$;

-- cost_series
select is(
  pg_temp.points('a', '''day'', from_day => ''2026-03-01'', to_day => ''2026-03-31'''), '03-06 00:00 1; 03-08 00:00 14',
  'A day is one of the tenant''s time zone, also where the clock is changed'
);
select is(pg_temp.count('''day'', from_day => ''2026-03-01'', to_day => ''2026-03-31'''), '31', 'Days without cost are points of zero');
select is(pg_temp.count('''hour'', from_day => ''2026-03-08'', to_day => ''2026-03-08'''), '23', 'The day on which the clock goes ahead has 23 hours');
select is(pg_temp.count('''hour'', from_day => ''2026-11-01'', to_day => ''2026-11-01'''), '25', 'The day on which it goes back has 25');
select is(
  pg_temp.points('a', '''hour'', from_day => ''2026-11-01'', to_day => ''2026-11-01'''), '11-01 01:00 16; 11-01 01:00 32',
  'The hour that comes twice is two points'
);
select is(
  pg_temp.says('c', 'select concat_ws('' '', to_char(starts_at at time zone ''Asia/Kolkata'', ''HH24:MI''), cost_usd) from spend.cost_series(''hour'', ''bbbbbbbb-0000-4000-8000-000000000002'', ''2026-04-01'', ''2026-04-01'') where cost_usd <> 0'),
  '15:00 64.000000000000; 16:00 128.000000000000', 'In a zone that is off by half an hour, hours begin when its clock says so'
);
-- Havana's clock goes back from 1:00 to 0:00 on 1 November 2026: midnight comes twice.
insert into spend.tenants (id, name, time_zone) values ('cccccccc-0000-4000-8000-000000000003', 'C', 'America/Havana');
delete from spend.cost_quotas where tenant_id = 'cccccccc-0000-4000-8000-000000000003';
insert into spend.cost_events (
  booked_xid, kind, reservation_id, tenant_id, occurred_at, task, resource_type, provider, product, cost_usd, calls
)
select '3'::xid8, 'charge', gen_random_uuid(), 'cccccccc-0000-4000-8000-000000000003', e.at::timestamptz, 'chat', 'llm', 'openai', 'gpt', e.usd, 1
from (values ('2026-11-01 03:59+00', 1), ('2026-11-01 04:30+00', 2), ('2026-11-01 05:30+00', 4), ('2026-11-02 05:30+00', 8)) as e (at, usd);
select spend_private.rebuild_rollups('cccccccc-0000-4000-8000-000000000003');
select is(
  (select count(*) || ' ' || trim_scale(sum(cost_usd)) from spend.cost_series(b.bucket, 'cccccccc-0000-4000-8000-000000000003', '2026-11-01', '2026-11-01')),
  b.points, format('A day on which midnight comes twice has all of its cost, by %s', b.bucket)
)
from (values ('hour', '25 6'), ('day', '1 6'), ('month', '1 6')) as b (bucket, points);
select is(
  (select string_agg(trim_scale(cost_usd)::text, ' ' order by starts_at) from spend.cost_series('day', 'cccccccc-0000-4000-8000-000000000003', '2026-10-31', '2026-11-02')),
  '1 6 8', 'The days around it have theirs'
);
select is(
  pg_temp.points('a', '''week'', from_day => ''2026-03-02'', to_day => ''2026-03-15'''), '03-02 00:00 15', 'A week begins on Monday'
);
select is(pg_temp.count('''week'', from_day => ''2026-03-02'', to_day => ''2026-03-15'''), '2', 'Two weeks are two points');
select is(
  pg_temp.points('a', '''month'', from_day => ''2026-01-15'', to_day => ''2026-12-31'''), '03-01 00:00 15; 11-01 00:00 48',
  'Months'
);
select is(pg_temp.count('''month'', from_day => ''2026-01-15'', to_day => ''2026-12-31'''), '12', 'From January to December are twelve');
select is(
  pg_temp.points('a', '''day'', from_day => ''2026-03-08'', to_day => ''2026-03-08'', group_by => ''product'', top => 1'),
  '03-08 00:00 8; 03-08 00:00 other 6', 'The dearest group, which has no product, and the sum of the others'
);
select is(
  pg_temp.points('a', '''day'', from_day => ''2026-03-08'', to_day => ''2026-03-08'', group_by => ''product'''),
  '03-08 00:00 8; 03-08 00:00 gpt 2; 03-08 00:00 opus 4', 'By product'
);
select is(
  pg_temp.points('a', '''day'', from_day => ''2026-03-08'', to_day => ''2026-03-08'', user_id => ''00000000-0000-4000-8000-00000000000b'''),
  '03-08 00:00 12', 'Of one member'
);
select is(
  pg_temp.points('b', '''day'', from_day => ''2026-03-01'', to_day => ''2026-03-31'''), '03-08 00:00 12',
  'A member sees the member''s own spend'
);
select is(
  pg_temp.says('c', 'select sum(cost_usd) from spend.cost_series(''day'', ''aaaaaaaa-0000-4000-8000-000000000001'', ''2026-03-01'', ''2026-03-31'')'),
  '0', 'Of somebody else''s tenant every point is zero'
);
select is(
  pg_temp.says('a', 'select trim_scale(sum(cost_usd)) from spend.cost_series(''month'', null, ''2026-01-01'', ''2026-12-31'')'),
  '63', 'Of no tenant in particular, all that the reader sees'
);
select is(
  (select sum(cost_usd) from spend.cost_series('day', 'aaaaaaaa-0000-4000-8000-000000000001', '2026-03-01', '2026-12-31', 'product', 1)),
  (select sum(cost_usd) from spend.cost_report('{}', '2026-03-01', '2026-12-31', 'aaaaaaaa-0000-4000-8000-000000000001')),
  'All points sum to what the report says'
);
select is(
  pg_temp.says('a', format('select spend.cost_series(%s)', c.arguments)), '22023 invalid_report', format('cost_series(%s) is refused', c.arguments)
)
from (values
  ('''minute'''), ('null'), ('group_by => ''tenant'''), ('top => 0'), ('''hour'', from_day => ''2026-01-01'', to_day => ''2026-02-01'''),
  ('from_day => ''-infinity''')
) as c (arguments);

-- member_overview
select is(
  pg_temp.says(u.usr, 'select concat_ws('' '', email, role, total) from spend.member_overview(''aaaaaaaa-0000-4000-8000-000000000001'')'),
  u.lines, format('%s sees these members: %s', u.who, coalesce(u.lines, 'none'))
)
from (values
  ('a', 'An owner', 'a@example.com owner 2; b@example.com member 2'), ('b', 'A member', 'b@example.com member 1'),
  ('c', 'A stranger', null)
) as u (usr, who, lines);
select is(
  pg_temp.says('a', 'select email from spend.member_overview(''aaaaaaaa-0000-4000-8000-000000000001'', ''B@EX'')'), 'b@example.com',
  'A member is found by a part of the address'
);

-- set_user_quota
insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
values ('tenant', 'aaaaaaaa-0000-4000-8000-000000000001', 'llm', 'day', 10);
create function pg_temp.set_quota(p_user text, p_of text, p_usd text) returns text language sql as $$
  select pg_temp.says(p_user, format(
    'select spend.set_user_quota(''aaaaaaaa-0000-4000-8000-000000000001'', ''00000000-0000-4000-8000-00000000000%s'', ''llm'', ''day'', %s) is not null', p_of, p_usd
  ))
$$;
create function pg_temp.user_limits() returns text language sql as $$
  select string_agg(trim_scale(limit_usd)::text, ' ') from spend.cost_quotas where scope = 'user'
$$;
select is(pg_temp.set_quota('a', 'b', '10'), 'true', 'An owner sets a member''s limit');
select is(pg_temp.set_quota('a', 'b', '7'), 'true', 'An owner lowers it');
select is(pg_temp.user_limits(), '7', 'The member has the lower limit');
select is(pg_temp.set_quota('a', 'b', '10.01'), 'PT422 above_tenant_limit', 'No higher than the tenant''s own');
select is(pg_temp.set_quota('b', 'b', '1') || ', ' || pg_temp.set_quota('c', 'b', '1'), 'PT403 not_an_admin, PT403 not_an_admin', 'Neither a member nor another tenant''s owner may');
select is(pg_temp.set_quota('a', 'c', '1'), 'PT404 unknown_member', 'A stranger gets no limit');
select is(pg_temp.set_quota('a', 'b', '-1'), '22023 invalid_quota', 'A negative limit is refused');
select is(pg_temp.set_quota('a', 'b', 'null'), 'true', 'Null removes the limit');
select is(pg_temp.user_limits(), null, 'The member has none any more');

select * from finish();
rollback;
