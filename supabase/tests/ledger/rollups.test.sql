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
select is(spend_private.roll_up(), 4::bigint, 'four events of ended transactions are rolled up, the open one is not');
select is(spend_private.roll_up(), 0::bigint, 'a second time there is nothing to do');
select results_eq(
  'select hour, cost_usd, calls from spend_private.cost_rollups order by hour',
  $$values ('2026-03-10 10:00+00'::timestamptz, 3::numeric, 2::bigint), ('2026-03-10 11:00+00', 3.5, 1)$$,
  'by hour: 1 + 2, and 4 - 0.5; a correction is no call'
);
select is((select sum(cost_usd) from spend.hourly_costs), 14.5::numeric, 'with the tail: 14.5, nothing skipped, nothing doubled');
select is((select sum(cost_usd) from spend.hourly_conversation_costs), 14.5::numeric, 'by conversation too');
select is((select sum(cost_usd) from spend.spend_by_day), (select sum(cost_usd) from spend.cost_events), 'spend_by_day equals the ledger');
select pg_temp.book(16, '2026-03-10 10:59+00', p_ended => false);
select is((select cost_usd from spend.spend_by_tenant), 30.5::numeric, 'what was booked a moment ago is reported');
select ok(
  (select rolled_up_before from spend_private.ledger_state) <= pg_snapshot_xmin(pg_current_snapshot()),
  'the mark is not above the oldest running transaction'
);

-- More comes to an hour that is rolled up.
select pg_temp.book(32, '2026-03-10 10:00+00');
update spend_private.ledger_state set rolled_up_before = '0';
delete from spend_private.cost_rollups;
delete from spend_private.conversation_rollups;
select is(pg_temp.roll_up(2), 5::bigint, 'events of one transaction are taken together, even when they are more than the batch');
select is((select sum(cost_usd) from spend.hourly_costs), 62.5::numeric, 'nothing is lost by batches');
select is(
  (select cost_usd from spend_private.cost_rollups where hour = '2026-03-10 10:00+00'), 35::numeric, '1 + 2 + 32 in one row'
);

-- Batches of transactions
insert into spend.cost_events (tenant_id, occurred_at, booked_xid, kind, resource_type, cost_usd)
select 'bbbbbbbb-0000-4000-8000-000000000002', '2026-03-11 00:10+00', (10 + g / 3)::text::xid8, 'adjustment', 'llm', 1
from generate_series(0, 8) as g;
update spend_private.ledger_state set rolled_up_before = '10';
select is(spend_private.roll_up(2), 3::bigint, 'a batch of 2: the first transaction''s three, never part of one');
select is(spend_private.roll_up(3), 3::bigint, 'a batch of 3: the second''s three');
select is(spend_private.roll_up(), 3::bigint, 'then the third''s');
select is(
  (select sum(cost_usd) from spend.hourly_costs where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002'), 9::numeric, '9 in all'
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
  $$values ('2026-03-10'::date, 100::numeric), ('2026-03-11', 209)$$, 'a day of Kolkata begins at 18:30 UTC, also in the roll-ups'
);
update spend.tenants set time_zone = 'Europe/Dublin' where id = 'bbbbbbbb-0000-4000-8000-000000000002';
select results_eq(
  $$select day, sum(cost_usd) from spend.spend_by_day where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002' group by day order by day$$,
  $$values ('2026-03-10'::date, 300::numeric), ('2026-03-11', 9)$$, 'in Dublin both are of the 10th'
);
select is(
  (select cost_usd from spend_private.cost_rollups where hour = '2026-03-10 18:00+00'), 300::numeric, 'and of one hour'
);
update spend.tenants set time_zone = 'Asia/Kolkata' where id = 'bbbbbbbb-0000-4000-8000-000000000002';
select results_eq(
  $$select day, sum(cost_usd) from spend.spend_by_day where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002' group by day order by day$$,
  $$values ('2026-03-10'::date, 100::numeric), ('2026-03-11', 209)$$, 'back in Kolkata that hour is rolled up anew, exact again'
);
update spend.tenants set time_zone = 'Asia/Kathmandu' where id = 'bbbbbbbb-0000-4000-8000-000000000002';
select results_eq(
  $$select day, sum(cost_usd) from spend.spend_by_day where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002' group by day order by day$$,
  $$values ('2026-03-10'::date, 100::numeric), ('2026-03-11', 209)$$, 'in Kathmandu (18:15 UTC): rolled up anew, exact again'
);
update spend.tenants set time_zone = 'Asia/Kathmandu';
select is((select sum(cost_usd) from spend.hourly_costs), (select sum(cost_usd) from spend.cost_events), 'nothing is lost on the way');

-- Another server: its transactions count from elsewhere.
update spend_private.ledger_state set rolled_up_before = '18446744073709551000';
select is((select count(*) from spend.hourly_costs where cost_usd = 8), 0::bigint, 'a mark from another server hides the tail');
select cmp_ok(spend_private.roll_up(), '>', 0::bigint, 'the next run sees that it cannot be');
select is((select sum(cost_usd) from spend.hourly_costs), (select sum(cost_usd) from spend.cost_events), 'and all is reported again');
update spend_private.ledger_state set cluster_id = 1;
select spend_private.roll_up();
select is((select cluster_id from spend_private.ledger_state), spend_private.cluster_id(), 'another server''s name does the same');
select is((select sum(cost_usd) from spend.hourly_costs), (select sum(cost_usd) from spend.cost_events), 'without doubling anything');

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
  '1062.5 62.5 309', 'roll-ups: an owner sees the tenant''s, a member his own, another owner his tenant''s'
);
select is(
  (select string_agg(pg_temp.sees(u, 'select trim_scale(sum(cost_usd)) from spend.hourly_conversation_costs'), ' ' order by u) from unnest(array['a', 'b', 'c']) as u),
  '1062.5 62.5 300', 'roll-ups by conversation too'
);
select * from finish();
rollback;
