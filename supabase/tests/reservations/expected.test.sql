-- Quotas whose estimate_policy is expected: calls are held at what calls of their kind cost lately.
begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(26);

insert into spend.tenants (id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A'), ('bbbbbbbb-0000-4000-8000-000000000001', 'B');
delete from spend.cost_quotas where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and resource_type <> 'llm';
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
select 'llm', 'test', p.product, m.meter, m.usd, '2020-01-01'
from unnest(array['model', 'other']) as p (product)
cross join (values ('input_tokens', 1), ('output_tokens', 1), ('reasoning_tokens', 2)) as m (meter, usd);

create function pg_temp.usage(p_output bigint, p_input bigint default 1000, p_model text default 'model') returns jsonb language sql as $$
  select jsonb_build_object('provider', 'test', 'model', p_model, 'input_tokens', p_input, 'output_tokens', p_output, 'reasoning_tokens', 0)
$$;
create function pg_temp.reserve(p_usage jsonb, p_task text default 'agent', p_tenant text default 'aaaaaaaa', p_now timestamptz default now())
returns spend.reserve_result language sql as $$
  select spend_private.reserve((p_tenant || '-0000-4000-8000-000000000001')::uuid, null, 'llm', p_usage, p_task, p_now => p_now)
$$;
-- USD that would be held for a call that may make 100,000 tokens of output.
create function pg_temp.held(p_usage jsonb default pg_temp.usage(100000), p_task text default 'agent', p_tenant text default 'aaaaaaaa')
returns numeric language sql as $$
  select trim_scale((spend.check_quota((p_tenant || '-0000-4000-8000-000000000001')::uuid, null, 'llm', p_usage, p_task)).estimated_cost_usd)
$$;
-- Calls that were made, n of them: the first made 100 tokens of output, the next 200, and so on.
create function pg_temp.spend(p_from integer, p_to integer) returns void language sql as $$
  select spend.settle((pg_temp.reserve(pg_temp.usage(100000), p_now => now() - interval '1 hour' + n * interval '1 second')).reservation_id, pg_temp.usage(n * 100))
  from generate_series(p_from, p_to) as n
$$;

-- Strict, until it is said otherwise and there is something to expect
select pg_temp.spend(1, 19);
select is(pg_temp.held(), 0.101, 'By default a call is held at the most that it may cost');
update spend.cost_quotas set estimate_policy = 'expected' where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001';
select is(pg_temp.held(), 0.101, 'After nineteen calls an expected estimate is still the bound');
select spend.settle((pg_temp.reserve(pg_temp.usage(100000))).reservation_id, null);
select spend.settle((pg_temp.reserve(pg_temp.usage(100000))).reservation_id, pg_temp.usage(50000), '{"is_estimated": true}');
select is(pg_temp.held(), 0.101, 'Calls whose usage nobody reported do not count');
select pg_temp.spend(20, 20);
select is(pg_temp.held(), 0.0029, 'After twenty calls one is held at what nineteen of them did not exceed, 1,900 tokens of output');

-- Of the same kind, and within what is known
select is(pg_temp.held(p_task => 'chat'), 0.101, 'A call of another task is held at the bound');
select is(pg_temp.held(pg_temp.usage(100000, p_model => 'other')), 0.101, 'A call of another product is held at the bound');
select is(pg_temp.held(p_tenant => 'bbbbbbbb'), 0.101, 'A call of another tenant is held at the bound');
select is(pg_temp.held(pg_temp.usage(1000)), 0.002, 'A call is never held at more than its bound');
select is(pg_temp.held(pg_temp.usage(100000, 500000)), 0.5019, 'A call is never held at less than its input');
select is(pg_temp.held(pg_temp.usage(100000) || '{"reasoning_tokens": 5000}'), 0.011, 'A call is never held at less than the output that it states');

-- All quotas, or none
insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'llm', 'month', 1000);
select is(pg_temp.held(), 0.101, 'One strict quota makes the estimate strict');
update spend.cost_quotas set enforcement = 'observe' where scope = 'platform';
select is(pg_temp.held(), 0.0029, 'A strict quota that only observes does not');
update spend.cost_quotas set enforcement = 'block', estimate_policy = 'expected' where scope = 'platform';
select is(pg_temp.held(), 0.0029, 'When every quota expects, the estimate is the expected one');

-- What is held, is held exactly
create temporary table call as select (pg_temp.reserve(pg_temp.usage(100000))).reservation_id as id from generate_series(1, 3);
select results_eq(
  $$ select distinct trim_scale(estimated_cost_usd), (usage_estimate ->> 'output_tokens')::int from spend.reservations join call using (id) $$,
  $$ values (0.0029, 1900) $$, 'A reservation keeps its expected usage'
);
select is_empty($$ select * from spend.verify_balances() $$, 'The balances equal the ledger while calls are held at expected estimates');
select is(
  (select trim_scale(estimated_cost_usd) from spend.extend((select min(id::text)::uuid from call), pg_temp.usage(200000))),
  0.201, 'An extension holds the most that the call may cost'
);
select spend_private.expire_reservations(p_now => now() + interval '2 hours');
select results_eq(
  $$ select trim_scale(r.actual_cost_usd) from spend.reservations as r join call using (id) order by 1 $$,
  $$ values (0.0029), (0.0029), (0.201) $$, 'A hold that expires is booked at what it held'
);
select is_empty($$ select * from spend.reprice('test', 'model', now() - interval '1 day', now() + interval '1 day') $$, 'reprice finds nothing to correct in expected estimates');
select is_empty($$ select * from spend.verify_balances() $$, 'The balances equal the ledger after they expired');

-- How far spend can pass the limit
update spend.cost_quotas set limit_usd = (
  select spent_usd + 0.029 from spend.quota_status where scope = 'tenant' and tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001'
) where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001';
create temporary table storm as
select a.* from generate_series(1, 12) as n cross join lateral pg_temp.reserve(pg_temp.usage(100000 + 0 * n)) as a;
select is((select count(*) from storm where allowed), 10::bigint, 'A quota with room for $0.029 admits ten calls of $0.0029');
select is((select min(reason) from storm where not allowed), 'in_flight', 'A quota with room for $0.029 refuses the eleventh call');
select spend.settle(reservation_id, pg_temp.usage(100000)) from storm where allowed;
select is(
  (select trim_scale(current_spend_usd - limit_usd) from spend.quota_status where scope = 'tenant' and tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001'),
  10 * (0.101 - 0.0029), 'Spend passes the limit by no more than open calls × (bound − expected)'
);
select is((pg_temp.reserve(pg_temp.usage(1))).reason, 'limit_reached', 'A quota that is over its limit admits no call');
select is_empty($$ select * from spend.verify_balances() $$, 'The balances equal the ledger after it');

-- Plans
update spend.plan_quotas set estimate_policy = 'expected' where plan_id = 'default' and resource_type = 'llm';
select is(
  (select estimate_policy from spend.cost_quotas where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000001' and resource_type = 'llm'),
  'expected', 'A plan''s estimate_policy reaches its tenants'
);
select throws_ok($$ update spend.plan_quotas set estimate_policy = 'lax' $$, '22023', null, 'A third estimate_policy is refused');

select * from finish();
rollback;
