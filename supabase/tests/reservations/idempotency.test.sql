begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(13);

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b');
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 2, '2020-01-01');

-- Usage that costs p_usd dollars.
create function pg_temp.usage(p_usd numeric) returns jsonb language sql as $$
  select jsonb_build_object(
    'provider', 'test', 'model', 'model', 'input_tokens', (p_usd * 1000000)::bigint, 'output_tokens', 0
  )
$$;
create function pg_temp.reserve(p_usd numeric, p_now timestamptz default now(), p_task text default 'chat')
returns spend.reserve_result language sql as $$
  select spend_private.reserve(
    'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm',
    pg_temp.usage(p_usd), p_task, p_now => p_now
  )
$$;
-- The tenant's llm quota: spent and held.
create function pg_temp.balance() returns text language sql as $$
  select format('%s spent, %s held', trim_scale(spent_usd), trim_scale(reserved_usd))
  from spend.quota_status where scope = 'tenant' and resource_type = 'llm'
    and tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and task is null and product is null
$$;

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
