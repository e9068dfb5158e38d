begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(23);
\ir ../support/test_model.psql

-- A tenant that is closed, a user who has left: nothing more is held, and what runs is still booked.
insert into auth.users (id) values ('00000000-0000-4000-8000-00000000000a');
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a');
create temporary table call (name text, id uuid);
create function pg_temp.call(p_name text, p_user uuid) returns void language sql as $$
  insert into call select p_name, (spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', p_user, 'llm', pg_temp.usage(1))).reservation_id
$$;
create function pg_temp.id(p_name text) returns uuid language sql as $$ select c.id from call as c where c.name = p_name $$;
select pg_temp.call('member', '00000000-0000-4000-8000-00000000000a');
select pg_temp.call('member 2', '00000000-0000-4000-8000-00000000000a');
select pg_temp.call('tenant', null);
select pg_temp.call('tenant 2', null);
select pg_temp.call('tenant 3', null);

-- A sandbox that runs
create temporary table context as
select c.context_id as id from spend.claim_context(
  'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'c', '00000000-0000-4000-8000-0000000000c1'
) as c;
select is(
  (spend.confirm_context(
    'aaaaaaaa-0000-4000-8000-000000000001', (select id from context), '00000000-0000-4000-8000-0000000000c1', 's',
    now() - interval '100 seconds', now() + interval '1 second', 2, 0.5
  )).outcome,
  'ready', 'A sandbox of the tenant runs, close to its time-out'
);
update spend.execution_contexts set
  claimed_at = claimed_at - interval '100 seconds', started_at = started_at - interval '100 seconds';

delete from spend.tenant_members;
select throws_ok($$ select spend.extend(pg_temp.id('member'), pg_temp.usage(2)) $$, '42501', 'not_a_member', 'A call of a user who has left is not extended');
select throws_ok($$ select spend.extend(pg_temp.id('member'), pg_temp.usage(1)) $$, '42501', 'not_a_member', 'A call of a user who has left is not extended in time alone');
select is((spend.extend(pg_temp.id('tenant'), pg_temp.usage(2))).allowed, true, 'A call of the tenant itself is extended');
select is(trim_scale((spend.settle(pg_temp.id('member'), pg_temp.usage(1.5))).cost_usd), 1.5, 'A call of a user who has left settles at its cost');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a');
select is((spend.extend(pg_temp.id('member 2'), pg_temp.usage(2))).allowed, true, 'A user who is a member again extends his call');

update spend.tenants set closed_at = now();
select throws_ok($$ select spend.extend(pg_temp.id('tenant'), pg_temp.usage(75)) $$, 'PT403', 'tenant_closed', 'A call of a closed tenant is not extended');
select throws_ok($$ select spend.extend(pg_temp.id('member 2'), pg_temp.usage(75)) $$, 'PT403', 'tenant_closed', 'A member''s call of a closed tenant is not extended');
select throws_ok(
  $$ select spend.use_context((select id from context), '00000000-0000-4000-8000-00000000000a', gen_random_uuid(), 60) $$,
  'PT403', 'tenant_closed', 'A sandbox of a closed tenant is not extended'
);
select is(
  (select trim_scale(sum(estimated_cost_usd)) from spend.reservations where id in (select id from call where name in ('tenant', 'member 2'))),
  4::numeric, 'Refused extensions leave the holds as they were'
);
select is(trim_scale((spend.settle(pg_temp.id('tenant'), pg_temp.usage(2))).cost_usd), 2::numeric, 'A call of a closed tenant settles');
select is((spend.release(pg_temp.id('tenant 2'))).status, 'released', 'A call of a closed tenant is released');
select is(
  spend.end_context('aaaaaaaa-0000-4000-8000-000000000001', (select id from context), 'terminated', 'closed', null, now()),
  'terminated', 'A sandbox of a closed tenant ends'
);
select is(
  (select r.status || ' ' || (r.actual_cost_usd > 0) from spend.reservations as r join spend.execution_contexts as c on c.reservation_id = r.id),
  'settled true', 'The sandbox of a closed tenant is booked'
);
update spend.tenants set closed_at = null;

-- What is kept with a call
select throws_ok(
  format('select spend.settle(%L, pg_temp.usage(1), %s)', pg_temp.id('tenant 3'), m.metadata), '22023', 'invalid_usage',
  format('settle refuses metadata: %s', m.name)
)
from (values
  ('a list', $$'[1,2]'$$), ('a text', $$'"a"'$$), ('null as JSON', $$'null'$$), ('9,000 characters', $$jsonb_build_object('a', repeat('ab', 4500))$$)
) as m (name, metadata);
select throws_ok(
  format($$ select spend.release(%L, repeat('a', 201)) $$, c.id), '22023', 'invalid_usage', format('release refuses a reason of 201 characters: %s', c.name)
)
from call as c where c.name in ('tenant 3', 'tenant 2') order by c.name;
select throws_ok(
  $$ select spend.end_context('aaaaaaaa-0000-4000-8000-000000000001', (select id from context), 'terminated', repeat('a', 9000)) $$,
  '22023', 'invalid_usage', 'end_context refuses a reason of 9,000 characters, which settle could not keep'
);
select is((spend.settle(pg_temp.id('tenant 3'), pg_temp.usage(1), '{"a": 1}')).status, 'settled', 'settle takes an object as metadata');
select is_empty($$ select * from spend.verify_balances() $$, 'verify_balances finds nothing after all of this');

select * from finish();
rollback;
