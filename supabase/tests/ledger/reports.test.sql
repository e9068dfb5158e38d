begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(33);

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b'),
  ('00000000-0000-4000-8000-00000000000c');
insert into spend.tenants (id, name, time_zone, created_at) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A', 'America/New_York', now() - interval '60 days'),
  ('bbbbbbbb-0000-4000-8000-000000000002', 'B', 'UTC', now() - interval '60 days');
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'admin'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'member'),
  ('bbbbbbbb-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000c', 'owner');

-- Half of the events are rolled up, the others are not.
insert into spend.cost_events (
  booked_xid, kind, reservation_id, tenant_id, occurred_at, user_id, conversation_id, task, resource_type, provider, product, cost_usd, calls
)
select
  case when e.is_rolled_up then '3'::xid8 else pg_current_xact_id() end,
  e.kind, gen_random_uuid(), (case e.tenant when 'a' then 'aaaaaaaa-0000-4000-8000-000000000001' else 'bbbbbbbb-0000-4000-8000-000000000002' end)::uuid,
  e.at::timestamptz, ('00000000-0000-4000-8000-00000000000' || e.usr)::uuid, e.conversation, e.task,
  case e.provider when 'e2b' then 'e2b' else 'llm' end, e.provider, e.product, e.usd, (e.kind in ('charge', 'expiry'))::integer
from (values
  -- 03:30 UTC is still the day before in New York.
  (true,  'charge', 'a', '2026-04-02 03:30+00', 'a', 'c1', 'chat',  'openai', 'gpt',    1),
  (true,  'charge', 'a', '2026-04-02 04:30+00', 'a', 'c1', 'chat',  'openai', 'gpt',    2),
  (false, 'charge', 'a', '2026-04-02 12:00+00', 'b', 'c2', 'agent', 'openai', 'gpt',    4),
  (true,  'expiry', 'a', '2026-04-02 13:00+00', 'b', 'c2', 'agent', 'anthropic', 'opus', 8),
  (false, 'correction', 'a', '2026-04-02 13:00+00', 'b', 'c2', 'agent', 'anthropic', 'opus', -3),
  (true,  'charge', 'a', '2026-04-03 13:00+00', 'b', null, 'run',   'e2b', 'base',      16),
  (true,  'charge', 'b', '2026-04-02 13:00+00', 'c', 'c3', 'chat',  'openai', 'gpt',    32)
) as e (is_rolled_up, kind, tenant, at, usr, conversation, task, provider, product, usd);
select spend_private.roll_up();

create function pg_temp.lines(p_sql text, p_user text default null) returns text language plpgsql as $$
declare
  v_lines text;
begin
  if p_user is not null then
    perform set_config('request.jwt.claim.sub', '00000000-0000-4000-8000-00000000000' || p_user, true);
    perform set_config('role', 'authenticated', true);
  end if;
  execute format('select string_agg(line::text, ''; '') from (%s) as l (line)', p_sql) into v_lines;
  perform set_config('role', 'none', true);
  return v_lines;
end;
$$;
-- A report from 1 to 30 April, as text.
create function pg_temp.report(p_arguments text, p_columns text, p_user text default null) returns text language sql as $$
  select pg_temp.lines(format(
    'select concat_ws('' '', %s, trim_scale(cost_usd), calls) from spend.cost_report(from_day => ''2026-04-01'', to_day => ''2026-04-30'', %s)', p_columns, p_arguments
  ), p_user)
$$;

select is(pg_temp.report('group_by => ''{}''', 'null'), '60 6', 'A report without groups is one line with everything, and a correction counts no call');
select is(pg_temp.report('group_by => ''{tenant}''', 'left(tenant_id::text, 1)'), 'b 32 1; a 28 5', 'A report by tenant has the dearest tenant first');
select is(
  pg_temp.report('tenant_id => ''aaaaaaaa-0000-4000-8000-000000000001''', 'day'),
  '2026-04-03 16 1; 2026-04-02 11 3; 2026-04-01 1 1', 'A report by day uses the tenant''s time zone, and has the newest day first'
);
select is(pg_temp.report('group_by => ''{user}''', 'right(user_id::text, 1)'), 'c 32 1; b 25 3; a 3 2', 'A report by user has the cost and the calls of each user');
select is(pg_temp.report('group_by => ''{task}''', 'task'), 'chat 35 3; run 16 1; agent 9 2', 'A report by task has the cost and the calls of each task');
select is(pg_temp.report('group_by => ''{conversation}''', 'conversation_id'), 'c3 32 1; c2 9 2; c1 3 2', 'A report by conversation leaves out calls without a conversation');
select is(pg_temp.report('group_by => ''{provider}''', 'provider'), 'openai 39 4; e2b 16 1; anthropic 5 1', 'A report by provider has the cost and the calls of each provider');
select is(pg_temp.report('group_by => ''{resource_type,product}''', 'resource_type, product'), 'llm gpt 39 4; e2b base 16 1; llm opus 5 1', 'A report by resource type and product has a line for each pair');
select is(pg_temp.report('group_by => ''{product}'', top => 1', 'product'), 'gpt 39 4', 'A report with top 1 has the dearest product alone');
select is(pg_temp.report('group_by => ''{task}'', product => ''gpt'', user_id => ''00000000-0000-4000-8000-00000000000b''', 'task'), 'agent 4 1', 'A report counts one product of one user');
select is(pg_temp.report('group_by => ''{task}'', conversation_id => ''c2''', 'task'), 'agent 9 2', 'A report counts one conversation');
select is(pg_temp.report('group_by => ''{day}'', resource_type => ''e2b''', 'day'), '2026-04-03 16 1', 'A report counts one resource type');
select is(pg_temp.report('group_by => ''{day}'', provider => ''anthropic'', task => ''agent''', 'day'), '2026-04-02 5 1', 'A report counts one task at one provider');
select is(
  pg_temp.lines('select concat_ws('' '', day, trim_scale(cost_usd)) from spend.cost_report(from_day => ''2026-04-02'', to_day => ''2026-04-02'', tenant_id => ''aaaaaaaa-0000-4000-8000-000000000001'')'),
  '2026-04-02 11', 'A report of one day includes both of its ends'
);
select throws_ok('select spend.cost_report(''{usr}'')', '22023', 'invalid_report', 'A report by an unknown group is refused');
select throws_ok('select spend.cost_report(top => 0)', '22023', 'invalid_report', 'A report with top 0 is refused');

-- Row-level security
select is(pg_temp.report('group_by => ''{user}''', 'right(user_id::text, 1)', 'a'), 'b 25 3; a 3 2', 'An admin sees the costs of his tenant by user');
select is(pg_temp.report('group_by => ''{user}''', 'right(user_id::text, 1)', 'b'), 'b 25 3', 'A member sees only his own costs');
select is(pg_temp.report('group_by => ''{user}'', tenant_id => ''aaaaaaaa-0000-4000-8000-000000000001''', 'right(user_id::text, 1)', 'c'), null, 'An owner of another tenant sees nothing of this one');
select is(pg_temp.report('group_by => ''{conversation}''', 'conversation_id', 'b'), 'c2 9 2', 'A member sees only his own conversations');

-- Views
select is(
  (select string_agg(v || ' ' || pg_temp.lines(format('select trim_scale(sum(cost_usd)) || '' '' || sum(calls) from spend.spend_by_%s', v)), ', ' order by v)
   from unnest(array['tenant', 'user', 'task', 'conversation', 'provider', 'product', 'day']) as v),
  'conversation 44 5, day 60 6, product 60 6, provider 60 6, task 60 6, tenant 60 6, user 60 6', 'Every view has the same sum and the same number of calls'
);
select is(
  (select string_agg(pg_temp.lines(format('select trim_scale(sum(cost_usd)) from spend.spend_by_%s', v), 'b'), ' ')
   from unnest(array['tenant', 'user', 'task', 'provider', 'product', 'day']) as v),
  '25 25 25 25 25 25', 'Every view shows a member his own spend alone'
);

-- Unusual days: A spends 10 a day, a little more or less, and 100 yesterday. B has spent for three days only.
insert into spend.cost_events (kind, tenant_id, occurred_at, user_id, resource_type, cost_usd)
select 'adjustment', 'aaaaaaaa-0000-4000-8000-000000000001',
  date_trunc('day', now(), 'America/New_York') - make_interval(days => d) + interval '12 hours', '00000000-0000-4000-8000-00000000000b', 'llm',
  case when d = 1 then 100 else 10 + d % 3 end
from generate_series(1, 40) as d;
update spend.tenants set created_at = now() - interval '3 days' where name = 'B';
insert into spend.cost_events (kind, tenant_id, occurred_at, resource_type, cost_usd)
select 'adjustment', 'bbbbbbbb-0000-4000-8000-000000000002', now() - make_interval(days => d), 'llm', 1000 - 400 * d
from generate_series(0, 2) as d;
select results_eq(
  'select day, cost_usd, usual_usd from spend.unusual_spend()',
  $$values ((now() at time zone 'America/New_York')::date - 1, 100::numeric, 11::numeric)$$, 'A day that cost 100 where 11 are usual is unusual, and no other day is'
);
select is_empty('select * from spend.unusual_spend(factor => 100)', 'With a factor of 100 no day is unusual');
select is_empty('select * from spend.unusual_spend(at_least_usd => 100.01)', 'With a minimum of $100.01 no day is unusual');
select is(
  pg_temp.lines('select trim_scale(cost_usd)::text from spend.unusual_spend()', 'a') || ' ' || coalesce(pg_temp.lines('select day::text from spend.unusual_spend()', 'c'), 'none'),
  '100 none', 'An admin sees unusual days of his tenant, and an owner of another does not'
);

-- Habits: who spends on one day a week, or more on that day than on others, and who spends now and then.
delete from spend.tenant_members;
insert into spend.tenants (id, name, created_at)
select ('dddddddd-0000-4000-8000-00000000000' || i)::uuid, h.name, now() - interval '1 year'
from unnest(array['mondays', 'mondays, dear today', 'dear mondays', 'dear monday, dearer today', 'now and then', 'now and then, dear today', 'first time']) with ordinality as h (name, i);
insert into spend.cost_events (kind, tenant_id, occurred_at, resource_type, cost_usd)
select 'adjustment', t.id, date_trunc('day', now(), 'UTC') - make_interval(days => d), 'llm', c.usd
from spend.tenants as t
cross join generate_series(0, 40) as d
cross join lateral (
  select case t.name
    when 'mondays' then case when d % 7 = 0 then 10 end
    when 'mondays, dear today' then case when d = 0 then 100 when d % 7 = 0 then 10 end
    when 'dear mondays' then case when d % 7 = 0 then 50 else 1 end
    when 'dear monday, dearer today' then case when d = 0 then 100 when d % 7 = 0 then 50 else 1 end
    when 'now and then' then case d when 0 then 25 when 3 then 20 when 11 then 30 when 18 then 2 end
    when 'now and then, dear today' then case d when 0 then 90 when 3 then 20 when 11 then 30 when 18 then 2 end
    when 'first time' then case d when 0 then 5 end
  end as usd
) as c
where c.usd is not null;
create function pg_temp.unusual(p_name text, p_more text default '') returns text language plpgsql as $$
declare
  v_lines text;
begin
  execute format(
    'select string_agg(concat_ws('' '', (now() at time zone ''UTC'')::date - u.day, trim_scale(u.cost_usd), trim_scale(u.usual_usd)), '', '' order by u.day)
     from spend.unusual_spend(%L%s) as u', (select id from spend.tenants where name = p_name), p_more
  ) into v_lines;
  return coalesce(v_lines, 'none');
end;
$$;
select is(pg_temp.unusual('mondays'), 'none', '$10 every Monday are not unusual on any Monday');
select is(pg_temp.unusual('mondays, dear today'), '0 100 10', '$100 on a Monday are unusual where $10 are usual on Mondays');
select is(pg_temp.unusual('dear mondays'), 'none', '$50 every Monday are not unusual beside $1 on each other day');
select is(pg_temp.unusual('dear monday, dearer today'), '0 100 50', '$100 on a Monday are unusual where $50 are usual on Mondays');
select is(pg_temp.unusual('now and then'), 'none', '$25 are not unusual where $30 were spent on a day before');
select is(pg_temp.unusual('now and then, dear today'), '0 90 20', '$90 are unusual where $20 are usual now and then');
select is(pg_temp.unusual('first time'), '0 5 0', 'A tenant''s first spend is unusual');
select * from finish();
rollback;
