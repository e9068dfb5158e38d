begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(26);

-- A has two users, the first of whom is in B too.
insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b');
insert into spend.tenants (id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A'), ('bbbbbbbb-0000-4000-8000-000000000002', 'B');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b'),
  ('bbbbbbbb-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000a');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'dear', 'input_tokens', 10, '2020-01-01'), ('llm', 'test', 'dear', 'output_tokens', 10, '2020-01-01'),
  ('llm', 'test', 'half', 'input_tokens', 1, '2020-01-01');

create function pg_temp.usage(p_input text, p_model text default 'model', p_output text default '0') returns jsonb language sql as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'provider', 'test', 'model', p_model, 'input_tokens', p_input::jsonb, 'output_tokens', p_output::jsonb
  ))
$$;
create function pg_temp.reserve(p_usage jsonb, p_now timestamptz default now(), p_tenant uuid default 'aaaaaaaa-0000-4000-8000-000000000001')
returns spend.reserve_result language sql as $$
  select spend_private.reserve(p_tenant, '00000000-0000-4000-8000-00000000000a', 'llm', p_usage, p_now => p_now)
$$;

-- Requests that reserve refuses
select throws_ok($$ select pg_temp.reserve(pg_temp.usage('10', 'half', '10')) $$, 'PT422', 'unpriced_product', 'A call with output is refused when only the input has a price');
select throws_ok($$ select pg_temp.reserve(pg_temp.usage('-1')) $$, '22023', 'invalid_usage', 'A call with a negative count is refused');
select throws_ok(
  $$ select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'e2b',
    '{"provider": "e2b", "template": "base", "vcpus": 2, "memory_gib": 0.5, "seconds": -300}') $$,
  '22023', 'invalid_usage', 'A sandbox with negative seconds is refused'
);
select throws_ok(
  $$ select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'e2b',
    '{"provider": "e2b", "template": "base", "vcpus": 2, "memory_gib": 0.5, "seconds": 300, "minutes": 5}') $$,
  '22023', 'invalid_usage', 'A sandbox with an unknown key in its usage is refused'
);
select throws_ok($$ select pg_temp.reserve(pg_temp.usage('1000000000001')) $$, '22023', 'invalid_usage', 'A count above 1e12 is refused');
select throws_ok(
  $$ select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage('1'), metadata => jsonb_build_object('x', (
    select string_agg(md5(i::text), '') from generate_series(1, 300) as i))) $$,
  '22023', 'invalid_usage', 'Metadata of more than 8 KiB is refused'
);
select throws_ok(
  $$ select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage('1'), ttl_seconds => 604801) $$,
  '22023', 'invalid_usage', 'A hold of more than a week is refused'
);

-- Which quotas a call counts in
insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, product)
values ('tenant', 'aaaaaaaa-0000-4000-8000-000000000001', 'llm', 'day', 1, 'dear');
insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
values ('user', 'bbbbbbbb-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000a', 'llm', 'day', 1);
select is((pg_temp.reserve(pg_temp.usage('200000', 'dear'))).allowed, false, 'A quota of $1 on a model refuses $2 of that model');
select is((pg_temp.reserve(pg_temp.usage('2000000'))).allowed, true, 'Neither a quota on another model nor the user''s quota in another tenant refuses a call');
select is(
  (pg_temp.reserve(pg_temp.usage('2000000'), p_tenant => 'bbbbbbbb-0000-4000-8000-000000000002')).allowed, false, 'The user''s quota refuses the call in the tenant that it is in'
);
update spend.cost_quotas set limit_usd = 0 where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002' and scope = 'user';
select is(
  (pg_temp.reserve(pg_temp.usage('0'), p_tenant => 'bbbbbbbb-0000-4000-8000-000000000002')).reason, 'exceeds_limit',
  'A limit of zero refuses a call that costs nothing'
);

-- The same key for another request
select (spend.reserve(
  'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm', pg_temp.usage('1'), idempotency_key => 'key'
)).allowed;
select throws_ok(
  format(
    $$ select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', %s, 'llm', pg_temp.usage('1'), idempotency_key => 'key'%s) $$,
    c.user_id, c.more
  ), 'PT409', 'idempotency_conflict', 'Another ' || c.what || ' under the same key is refused'
)
from (values
  ('user', $$ '00000000-0000-4000-8000-00000000000b' $$, ''),
  ('task', $$ '00000000-0000-4000-8000-00000000000a' $$, $$, task => 'other' $$),
  ('path', $$ '00000000-0000-4000-8000-00000000000a' $$, $$, path_id => 'other' $$)
) as c (what, user_id, more);
select spend.adjust('aaaaaaaa-0000-4000-8000-000000000001', -1, 'credit', idempotency_key => 'ticket');
select throws_ok(
  $$ select spend.adjust('aaaaaaaa-0000-4000-8000-000000000001', -2, 'credit', idempotency_key => 'ticket') $$,
  'PT409', 'idempotency_conflict', 'Another amount under the key of an adjustment is refused'
);

-- What is booked
create temporary table call as
select c.name, (pg_temp.reserve(pg_temp.usage('1000000'), '2026-03-10 12:00:00+00')).reservation_id as id
from (values ('late'), ('half'), ('other model'), ('released')) as c (name);
select is(
  (spend_private.settle((select id from call where name = 'late'), pg_temp.usage('500000'), p_now => '2026-05-01')).cost_usd,
  0.5, 'A call of March settles in May'
);
select is(
  (select occurred_at from spend.cost_events where reservation_id = (select id from call where name = 'late')),
  '2026-03-10 12:00:00+00'::timestamptz, 'The call counts in March'
);
select results_eq(
  $$ select s.cost_usd, s.is_estimated from spend.settle((select id from call where name = 'half'), pg_temp.usage('200000', p_output => 'null')) as s $$,
  $$ values (1::numeric, true) $$, 'Usage without its output is unknown, and the estimate is booked'
);
select is(
  (spend.settle((select id from call where name = 'other model'), pg_temp.usage('500000', 'dear'))).cost_usd,
  0.5, 'A call is booked as the model that was admitted'
);
select is((spend.release((select id from call where name = 'released'), 'first')).status, 'released', 'A hold is released');
select is((spend.release((select id from call where name = 'released'), 'second')).status, 'released', 'A second release answers the same');
select is(
  (select release_reason from spend.reservations where id = (select id from call where name = 'released')), 'first', 'A second release changes nothing'
);
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after all of this');

-- verify_balances itself
update spend_private.quota_balances set spent_usd = spent_usd + 1
where (quota_id, period_start, slot) in (select b.quota_id, b.period_start, b.slot from spend_private.quota_balances as b where b.spent_usd > 0 limit 1);
select results_eq(
  'select column_name, balance_usd - ledger_usd from spend.verify_balances()', $$ values ('spent_usd', 1::numeric) $$,
  'verify_balances finds a balance that is a dollar off'
);
select throws_ok('delete from spend.cost_events', 'PT403', 'append_only', 'The ledger cannot be deleted from');
select throws_ok('truncate spend.cost_events', 'PT403', 'append_only', 'The ledger cannot be truncated');

select * from finish();
rollback;
