begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(13);
\ir ../support/one_tenant.psql

create function pg_temp.keyed(p_key text, p_usd numeric, p_conversation text default null)
returns spend.reserve_result language sql as $$
  select spend.reserve(
    'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm',
    pg_temp.usage(p_usd), conversation_id => p_conversation, idempotency_key => p_key
  )
$$;
create temporary table answers as select 1 as n, r.* from pg_temp.keyed('admitted', 60) as r;
insert into answers select 2, r.* from pg_temp.keyed('admitted', 60) as r;

select is((select count(distinct reservation_id) from answers), 1::bigint, 'The same key and request get the same reservation');
select results_eq('select replayed from answers order by n', $$ values (false), (true) $$, 'The second answer is marked as a replay');
select is(pg_temp.balance(), '0 spent, 60 held', 'The same key and request hold once');
select throws_ok($$ select pg_temp.keyed('admitted', 61) $$, 'PT409', 'idempotency_conflict', 'Other usage under the same key is a conflict');
select throws_ok($$ select pg_temp.keyed('admitted', 60, 'other') $$, 'PT409', 'idempotency_conflict', 'Another conversation under the same key is a conflict');
select lives_ok($$ select spend.reserve(
  'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm', pg_temp.usage(60),
  idempotency_key => 'admitted', metadata => '{"try": 2}', ttl_seconds => 60) $$, 'Other metadata under the same key is no conflict');

select is((pg_temp.keyed('refused', 50)).reason, 'in_flight', 'A call of 50 is refused while 60 of 100 are held');
select spend.release(reservation_id) from answers where n = 1;
select results_eq(
  $$ select allowed, reason, replayed from pg_temp.keyed('refused', 50) $$, $$ values (false, 'in_flight', true) $$,
  'A refusal is replayed, even when there is room by then'
);
select is((pg_temp.keyed('another', 50)).allowed, true, 'The same call under another key is admitted');
select throws_ok($$ select pg_temp.keyed('refused', 51) $$, 'PT409', 'idempotency_conflict', 'Other usage under the key of a refusal is a conflict');
select throws_ok($$ select pg_temp.keyed('', 1) $$, '22023', 'invalid_usage', 'An empty key is refused');

insert into spend.tenants (id, name) values ('bbbbbbbb-0000-4000-8000-000000000001', 'B');
select is(
  (spend.reserve('bbbbbbbb-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(1), idempotency_key => 'admitted')).replayed,
  false, 'The same key of another tenant is another key'
);
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after replays');

select * from finish();
rollback;
