-- Quotas whose estimate_policy is expected: calls are held at what calls of their kind cost of late.
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
select is(pg_temp.held(), 0.101, 'strict is the default: what the call may cost at most');
update spend.cost_quotas set estimate_policy = 'expected' where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001';
select is(pg_temp.held(), 0.101, 'nineteen calls are too few to expect anything');
select spend.settle((pg_temp.reserve(pg_temp.usage(100000))).reservation_id, null);
select spend.settle((pg_temp.reserve(pg_temp.usage(100000))).reservation_id, pg_temp.usage(50000), '{"is_estimated": true}');
select is(pg_temp.held(), 0.101, 'what nobody reported does not count');
select pg_temp.spend(20, 20);
select is(pg_temp.held(), 0.0029, 'of twenty calls, what nineteen did not exceed: 1,900 tokens of output');

-- Of the same kind, and within what is known
select is(pg_temp.held(p_task => 'chat'), 0.101, 'another task has calls of its own');
select is(pg_temp.held(pg_temp.usage(100000, p_model => 'other')), 0.101, 'so has another product');
select is(pg_temp.held(p_tenant => 'bbbbbbbb'), 0.101, 'and another tenant');
select is(pg_temp.held(pg_temp.usage(1000)), 0.002, 'never more than the bound');
select is(pg_temp.held(pg_temp.usage(100000, 500000)), 0.5019, 'never less than the input');
select is(pg_temp.held(pg_temp.usage(100000) || '{"reasoning_tokens": 5000}'), 0.011, 'nor than what is stated of the output');

-- All quotas, or none
insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'llm', 'month', 1000);
select is(pg_temp.held(), 0.101, 'one strict quota makes the call strict');
update spend.cost_quotas set enforcement = 'observe' where scope = 'platform';
select is(pg_temp.held(), 0.0029, 'unless it refuses nothing');
update spend.cost_quotas set enforcement = 'block', estimate_policy = 'expected' where scope = 'platform';
select is(pg_temp.held(), 0.0029, 'or is expected too');

-- What is held, is held exactly
create temporary table call as select (pg_temp.reserve(pg_temp.usage(100000))).reservation_id as id from generate_series(1, 3);
select results_eq(
  $$ select distinct trim_scale(estimated_cost_usd), (usage_estimate ->> 'output_tokens')::int from spend.reservations join call using (id) $$,
  $$ values (0.0029, 1900) $$, 'the reservation says what it expects'
);
select is_empty($$ select * from spend.verify_balances() $$, 'every quota holds it');
select is(
  (select trim_scale(estimated_cost_usd) from spend.extend((select min(id::text)::uuid from call), pg_temp.usage(200000))),
  0.201, 'an extension holds what the call may cost at most'
);
select spend_private.expire_reservations(p_now => now() + interval '2 hours');
select results_eq(
  $$ select trim_scale(r.actual_cost_usd) from spend.reservations as r join call using (id) order by 1 $$,
  $$ values (0.0029), (0.0029), (0.201) $$, 'a hold that expires is booked at what it held'
);
select is_empty($$ select * from spend.reprice('test', 'model', now() - interval '1 day', now() + interval '1 day') $$, 'at no wrong price');
select is_empty($$ select * from spend.verify_balances() $$, 'and the balances equal the ledger');

-- How far spend can pass the limit
update spend.cost_quotas set limit_usd = (
  select spent_usd + 0.029 from spend.quota_status where scope = 'tenant' and tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001'
) where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001';
create temporary table storm as
select a.* from generate_series(1, 12) as n cross join lateral pg_temp.reserve(pg_temp.usage(100000 + 0 * n)) as a;
select is((select count(*) from storm where allowed), 10::bigint, 'room for 0.029: ten open calls of 0.0029');
select is((select min(reason) from storm where not allowed), 'in_flight', 'and no eleventh');
select spend.settle(reservation_id, pg_temp.usage(100000)) from storm where allowed;
select is(
  (select trim_scale(current_spend_usd - limit_usd) from spend.quota_status where scope = 'tenant' and tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001'),
  10 * (0.101 - 0.0029), 'if each costs all that it may, spend passes the limit by open calls × (bound − expected), and no more'
);
select is((pg_temp.reserve(pg_temp.usage(1))).reason, 'limit_reached', 'then nothing is admitted');
select is_empty($$ select * from spend.verify_balances() $$, 'and the balances equal the ledger');

-- Plans
update spend.plan_quotas set estimate_policy = 'expected' where plan_id = 'default' and resource_type = 'llm';
select is(
  (select estimate_policy from spend.cost_quotas where tenant_id = 'bbbbbbbb-0000-4000-8000-000000000001' and resource_type = 'llm'),
  'expected', 'a plan''s policy reaches its tenants'
);
select throws_ok($$ update spend.plan_quotas set estimate_policy = 'lax' $$, '22023', null, 'there are two policies');

select * from finish();
rollback;
