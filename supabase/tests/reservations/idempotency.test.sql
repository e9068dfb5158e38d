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

select is((select count(distinct reservation_id) from answers), 1::bigint, 'the same key and request: the same reservation');
select results_eq('select replayed from answers order by n', $$ values (false), (true) $$, 'the second answer is a replay');
select is(pg_temp.balance(), '0 spent, 60 held', 'held once');
select throws_ok($$ select pg_temp.keyed('admitted', 61) $$, 'PT409', 'idempotency_conflict', 'other usage under the same key is a conflict');
select throws_ok($$ select pg_temp.keyed('admitted', 60, 'other') $$, 'PT409', 'idempotency_conflict', 'another conversation too');
select lives_ok($$ select spend.reserve(
  'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm', pg_temp.usage(60),
  idempotency_key => 'admitted', metadata => '{"try": 2}', ttl_seconds => 60) $$, 'other metadata is not');

select is((pg_temp.keyed('refused', 50)).reason, 'in_flight', '50 more is refused');
select spend.release(reservation_id) from answers where n = 1;
select results_eq(
  $$ select allowed, reason, replayed from pg_temp.keyed('refused', 50) $$, $$ values (false, 'in_flight', true) $$,
  'refusals replay too, when there is room by now'
);
select is((pg_temp.keyed('another', 50)).allowed, true, 'under another key it is admitted');
select throws_ok($$ select pg_temp.keyed('refused', 51) $$, 'PT409', 'idempotency_conflict', 'the key of a refusal is taken as well');
select throws_ok($$ select pg_temp.keyed('', 1) $$, '22023', 'invalid_usage', 'an empty key is refused');

insert into spend.tenants (id, name) values ('bbbbbbbb-0000-4000-8000-000000000001', 'B');
select is(
  (spend.reserve('bbbbbbbb-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(1), idempotency_key => 'admitted')).replayed,
  false, 'another tenant''s key is another key'
);
select is_empty('select * from spend.verify_balances()', 'the balances equal the ledger');

select * from finish();
rollback;
