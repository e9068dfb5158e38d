begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(28);

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b'),
  ('00000000-0000-4000-8000-00000000000c');
insert into spend.tenants (id, name, time_zone) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A', 'UTC'),
  ('bbbbbbbb-0000-4000-8000-000000000002', 'B', 'Asia/Kolkata');
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'owner'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'member'),
  ('bbbbbbbb-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000c', 'owner');

-- An event of a transaction that ended long ago (it can be rolled up), or of this one (it cannot).
create function pg_temp.book(
  p_usd numeric, p_at timestamptz, p_ended boolean default true,
  p_tenant uuid default 'aaaaaaaa-0000-4000-8000-000000000001',
  p_user uuid default '00000000-0000-4000-8000-00000000000b', p_kind text default 'charge',
  p_conversation text default 'c1', p_product text default 'model'
) returns void language sql as $$
  insert into spend.cost_events (
    tenant_id, occurred_at, booked_xid, kind, reservation_id, user_id, conversation_id, task,
    resource_type, provider, product, cost_usd, calls
  )
  values (
    p_tenant, p_at, case when p_ended then '3'::xid8 else pg_current_xact_id() end, p_kind,
    gen_random_uuid(), p_user, p_conversation, 'chat', 'llm', 'test', p_product, p_usd, (p_kind = 'charge')::integer
  )
$$;
-- The mark as after a start from nothing, so that events numbered 3 lie beyond it.
create function pg_temp.roll_up(p_max integer default 500000) returns bigint language plpgsql as $$
begin
  update spend_private.ledger_state set rolled_up_before = '0';
  return spend_private.roll_up(p_max);
end;
$$;

-- Roll-ups and tail
select pg_temp.book(1, '2026-03-10 10:05+00');
select pg_temp.book(2, '2026-03-10 10:55+00');
select pg_temp.book(4, '2026-03-10 11:00+00');
select pg_temp.book(8, '2026-03-10 11:30+00', p_ended => false);
select pg_temp.book(-0.5, '2026-03-10 11:00+00', p_kind => 'correction');
select is(spend_private.roll_up(), 4::bigint, 'Four events of ended transactions are rolled up, and that of a running one is not');
select is(spend_private.roll_up(), 0::bigint, 'A second run finds nothing to roll up');
select results_eq(
  'select hour, cost_usd, calls from spend_private.cost_rollups order by hour',
  $$values ('2026-03-10 10:00+00'::timestamptz, 3::numeric, 2::bigint), ('2026-03-10 11:00+00', 3.5, 1)$$,
  'Events are summed by hour, and a correction counts no call'
);
select is((select sum(cost_usd) from spend.hourly_costs), 14.5::numeric, 'hourly_costs adds the events that are not rolled up, each once');
select is((select sum(cost_usd) from spend.hourly_conversation_costs), 14.5::numeric, 'hourly_conversation_costs adds them too');
select is((select sum(cost_usd) from spend.spend_by_day), (select sum(cost_usd) from spend.cost_events), 'spend_by_day equals the ledger');
select pg_temp.book(16, '2026-03-10 10:59+00', p_ended => false);
select is((select cost_usd from spend.spend_by_tenant), 30.5::numeric, 'An event of a moment ago is in spend_by_tenant');
select ok(
  (select rolled_up_before from spend_private.ledger_state) <= pg_snapshot_xmin(pg_current_snapshot()),
  'The mark is not above the oldest running transaction'
);

-- More comes to an hour that is rolled up.
select pg_temp.book(32, '2026-03-10 10:00+00');
update spend_private.ledger_state set rolled_up_before = '0';
delete from spend_private.cost_rollups;
delete from spend_private.conversation_rollups;
select is(pg_temp.roll_up(2), 5::bigint, 'Events of one transaction are rolled up together, even when they are more than a batch');
select is((select sum(cost_usd) from spend.hourly_costs), 62.5::numeric, 'No event is lost between batches');
select is(
  (select cost_usd from spend_private.cost_rollups where hour = '2026-03-10 10:00+00'), 35::numeric, 'An event that comes to an hour that is rolled up is added to its row'
);

-- Batches of transactions
insert into spend.cost_events (tenant_id, occurred_at, booked_xid, kind, resource_type, cost_usd)
select 'bbbbbbbb-0000-4000-8000-000000000002', '2026-03-11 00:10+00', (10 + g / 3)::text::xid8, 'adjustment', 'llm', 1
from generate_series(0, 8) as g;
update spend_private.ledger_state set rolled_up_before = '10';
select is(spend_private.roll_up(2), 3::bigint, 'A batch of 2 takes all three events of the first transaction');
select is(spend_private.roll_up(3), 3::bigint, 'A batch of 3 takes the three events of the second');
select is(spend_private.roll_up(), 3::bigint, 'The next batch takes the three events of the third');
select is(
  (select sum(cost_usd) from spend.hourly_costs where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002'), 9::numeric, 'All 9 events are reported'
);

-- Half-hour zones: 18:05 and 18:40 UTC are 23:35 and 00:10 in Kolkata.
update spend_private.ledger_state set rolled_up_before = '0';
delete from spend_private.cost_rollups;
delete from spend_private.conversation_rollups;
select pg_temp.book(100, '2026-03-10 18:05+00', p_tenant => 'bbbbbbbb-0000-4000-8000-000000000002');
select pg_temp.book(200, '2026-03-10 18:40+00', p_tenant => 'bbbbbbbb-0000-4000-8000-000000000002');
select pg_temp.roll_up();
select results_eq(
  $$select day, sum(cost_usd) from spend.spend_by_day where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002' group by day order by day$$,
  $$values ('2026-03-10'::date, 100::numeric), ('2026-03-11', 209)$$, 'Days in Kolkata begin at 18:30 UTC, in roll-ups too'
);
update spend.tenants set time_zone = 'Europe/Dublin' where id = 'bbbbbbbb-0000-4000-8000-000000000002';
select results_eq(
  $$select day, sum(cost_usd) from spend.spend_by_day where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002' group by day order by day$$,
  $$values ('2026-03-10'::date, 300::numeric), ('2026-03-11', 9)$$, 'After a change to Dublin both events are of the 10th'
);
select is(
  (select cost_usd from spend_private.cost_rollups where hour = '2026-03-10 18:00+00'), 300::numeric, 'After a change to Dublin both events are in one hour'
);
update spend.tenants set time_zone = 'Asia/Kolkata' where id = 'bbbbbbbb-0000-4000-8000-000000000002';
select results_eq(
  $$select day, sum(cost_usd) from spend.spend_by_day where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002' group by day order by day$$,
  $$values ('2026-03-10'::date, 100::numeric), ('2026-03-11', 209)$$, 'After a change back to Kolkata the hour is rolled up anew, and the days are exact'
);
update spend.tenants set time_zone = 'Asia/Kathmandu' where id = 'bbbbbbbb-0000-4000-8000-000000000002';
select results_eq(
  $$select day, sum(cost_usd) from spend.spend_by_day where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002' group by day order by day$$,
  $$values ('2026-03-10'::date, 100::numeric), ('2026-03-11', 209)$$, 'After a change to Kathmandu, 18:15 UTC, the hour is rolled up anew, and the days are exact'
);
update spend.tenants set time_zone = 'Asia/Kathmandu';
select is((select sum(cost_usd) from spend.hourly_costs), (select sum(cost_usd) from spend.cost_events), 'No change of time zone loses an event');

-- Another server: its transactions count from elsewhere.
update spend_private.ledger_state set rolled_up_before = '18446744073709551000';
select is((select count(*) from spend.hourly_costs where cost_usd = 8), 0::bigint, 'A mark of another server, far ahead, hides events that are not rolled up');
select cmp_ok(spend_private.roll_up(), '>', 0::bigint, 'The next run finds that the mark cannot be right, and rolls up anew');
select is((select sum(cost_usd) from spend.hourly_costs), (select sum(cost_usd) from spend.cost_events), 'All events are reported again');
update spend_private.ledger_state set cluster_id = 1;
select spend_private.roll_up();
select is((select cluster_id from spend_private.ledger_state), spend_private.cluster_id(), 'A mark with another server''s id is replaced');
select is((select sum(cost_usd) from spend.hourly_costs), (select sum(cost_usd) from spend.cost_events), 'No event is counted twice after that');

-- Who sees what
create function pg_temp.sees(p_user text, p_sql text) returns text language plpgsql as $$
declare
  v_answer text;
begin
  perform set_config('request.jwt.claim.sub', '00000000-0000-4000-8000-00000000000' || p_user, true);
  perform set_config('role', 'authenticated', true);
  execute p_sql into v_answer;
  perform set_config('role', 'none', true);
  return v_answer;
end;
$$;
select pg_temp.book(1000, '2026-03-10 10:05+00', p_ended => false, p_user => '00000000-0000-4000-8000-00000000000a');
select is(
  (select string_agg(pg_temp.sees(u, 'select trim_scale(sum(cost_usd)) from spend.hourly_costs'), ' ' order by u) from unnest(array['a', 'b', 'c']) as u),
  '1062.5 62.5 309', 'An owner sees his tenant''s sums, a member his own, and another owner his tenant''s'
);
select is(
  (select string_agg(pg_temp.sees(u, 'select trim_scale(sum(cost_usd)) from spend.hourly_conversation_costs'), ' ' order by u) from unnest(array['a', 'b', 'c']) as u),
  '1062.5 62.5 300', 'The same holds for the sums by conversation'
);
select * from finish();
rollback;
