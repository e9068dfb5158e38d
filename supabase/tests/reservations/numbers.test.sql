begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(28);

-- A whole number is itself in every spelling of JSON: 5, 5.0, 5.00, 5E0, 0.5e1.
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 2, '2020-01-01');

create function pg_temp.usage(p_input text, p_output text default '0') returns jsonb language sql as $$
  select format('{"provider": "test", "model": "model", "input_tokens": %s, "output_tokens": %s}', p_input, p_output)::jsonb
$$;
create function pg_temp.reserve(p_usage jsonb, p_key text default null) returns spend.reserve_result language sql as $$
  select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', p_usage, idempotency_key => p_key)
$$;
create temporary table call (name text, id uuid);

-- Reserve, extend, settle: read as the number, kept as the number
select is(
  trim_scale((pg_temp.reserve(pg_temp.usage(s.spelling, s.spelling))).estimated_cost_usd), 0.003, 'reserve reads 1000 in ' || s.spelling
)
from (values ('1000'), ('1000.0'), ('1000.000'), ('1e3'), ('1.0e3'), ('1.0E+3'), ('10000e-1')) as s (spelling);
select is_empty(
  $$ select r.usage_estimate from spend.reservations as r where r.usage_estimate::text <> pg_temp.usage('1000', '1000')::text $$,
  'Every spelling of 1000 is kept as 1000'
);
insert into call select s.spelling, (pg_temp.reserve(pg_temp.usage('1'))).reservation_id
from (values ('1000'), ('1000.0'), ('1e3'), ('1.0e3'), ('10000e-1')) as s (spelling);
select is(trim_scale((spend.extend(c.id, pg_temp.usage(c.name, c.name))).estimated_cost_usd), 0.003, 'extend reads 1000 in ' || c.name)
from call as c;
select is(trim_scale((spend.settle(c.id, pg_temp.usage(c.name, c.name))).cost_usd), 0.003, 'settle reads 1000 in ' || c.name)
from call as c;
select is_empty(
  $$ select from call as c join spend.reservations as r using (id) join spend.cost_events as e on e.reservation_id = r.id
     where r.usage_estimate::text <> pg_temp.usage('1000', '1000')::text or e.usage::text <> pg_temp.usage('1000', '1000')::text $$,
  'extend and settle keep every spelling as 1000'
);
select is(
  (pg_temp.reserve(pg_temp.usage('5.0'), 'key')).reservation_id, (pg_temp.reserve(pg_temp.usage('5'), 'key')).reservation_id,
  '5.0 and 5 are the same request under one idempotency key'
);
select is(
  (spend.check_quota('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage('1.0e6'))).estimated_cost_usd, 1::numeric,
  'check_quota reads 1.0e6'
);
select is(
  (select sum(amount_usd) from spend.explain_cost('test', 'model', '{"input_tokens": 1000000.0, "output_tokens": 5E5}')), 2::numeric,
  'explain_cost reads 1000000.0 and 5E5'
);
select throws_ok($$ select pg_temp.reserve(pg_temp.usage('5.5')) $$, '22023', 'invalid_usage', 'Five and a half tokens are refused');

-- What was booked so before does not stop those who hold what is expected
update spend.cost_quotas set estimate_policy = 'expected' where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001';
insert into spend.cost_events (tenant_id, occurred_at, kind, reservation_id, task, resource_type, provider, product, usage, cost_usd)
select 'aaaaaaaa-0000-4000-8000-000000000001', now(), 'charge', gen_random_uuid(), 'bulk', 'llm', 'test', 'model',
  case when n = 1 then '{"output_tokens": "many"}' else '{"output_tokens": 500.0}' end::jsonb, 0
from generate_series(1, 40) as n;
select is(
  trim_scale((spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage('0', '1000000.0'), 'bulk')).estimated_cost_usd), 0.001,
  'After forty events of 500.0 tokens, reserve expects and holds 500'
);
select is(
  trim_scale((spend.check_quota('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage('0', '1000000.0'), 'bulk')).estimated_cost_usd), 0.001,
  'After forty events of 500.0 tokens, check_quota expects 500'
);

-- Sandboxes
select is(
  (spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'e2b',
    '{"provider": "e2b", "template": "base", "vcpus": 2.0, "memory_gib": 0.50, "seconds": 1e2}')).allowed,
  true, 'A sandbox of 2.0 vCPUs for 1e2 seconds is held'
);
select is(
  (select r.usage_estimate::text from spend.reservations as r where r.resource_type = 'e2b'),
  '{"provider": "e2b", "template": "base", "vcpus": 2, "memory_gib": 0.5, "seconds": 100}'::jsonb::text, 'A sandbox of 2.0 vCPUs for 1e2 seconds is kept as 2 and 100'
);

select is_empty($$ select * from spend.verify_balances() $$, 'The balances equal the ledger in every spelling');

select * from finish();
rollback;
