begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(19);

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.prices (resource_type, provider, product, meter, unit_size, usd, tier_from, tenant_id, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1000000, 1, 0, null, '2020-01-01'),
  ('llm', 'test', 'model', 'input_tokens', 1000000, 3, 1000, null, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 1000000, 2, 0, null, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 1000000, 0.000003, 0, null, '2100-01-01'),
  ('llm', 'test', 'model', 'web_searches', 1000, 10, 0, null, '2020-01-01'),
  ('llm', 'test', 'model', 'input_tokens', 1000000, 0.8, 0, 'aaaaaaaa-0000-4000-8000-000000000001', '2020-01-01'),
  ('llm', 'test', 'other', 'input_tokens', 1000000, 5, 0, null, '2020-01-01'),
  ('llm', 'test', 'other', 'output_tokens', 1000000, 5, 0, null, '2020-01-01'),
  ('llm', 'else', 'model', 'input_tokens', 1000000, 7, 0, null, '2020-01-01');

create function pg_temp.cost(p_counts jsonb, p_tier text default 'batch', p_at timestamptz default now(), p_tenant uuid default null)
returns numeric language sql as $$
  select trim_scale((spend_private.price_usage(
    p_tenant, 'llm',
    spend_private.read_usage('llm', '{"provider": "test", "model": "model", "input_tokens": 0, "output_tokens": 0}'
      || p_counts || jsonb_build_object('service_tier', p_tier)), p_at
  )).cost_usd)
$$;

select is(pg_temp.cost('{"input_tokens": 1000000}'), null, 'a service tier without prices has no price: it is refused, not free');

set local role service_role;
select is(spend.add_service_tier('test', 'batch', 0.5, product => 'model'), 6, 'one product at half of standard: one row for each of its prices, those to come and those negotiated too');
reset role;
select is(pg_temp.cost('{"input_tokens": 1000}'), 0.0005, 'input at half');
select is(pg_temp.cost('{"output_tokens": 1}'), 0.000001, 'output too');
select is(pg_temp.cost('{"input_tokens": 1001}'), 0.0015015, 'above the cliff, half of what it costs there');
select is(pg_temp.cost('{"web_searches": 1}'), 0.01, 'what is not counted in tokens costs what it costs');
select is(pg_temp.cost('{"output_tokens": 1}', p_at => '2100-01-01'), 0.000000000002, 'a price to come is halved from its own day on, exact to the twelfth decimal');
select is(pg_temp.cost('{"input_tokens": 1000}', p_tenant => 'aaaaaaaa-0000-4000-8000-000000000001'), 0.0004, 'a negotiated price is halved');
select is(pg_temp.cost('{"input_tokens": 1000}', 'standard'), 0.001, 'standard stays as it was');
select is_empty($$ select from spend.prices where service_tier = 'batch' and (provider, product) <> ('test', 'model') $$, 'and so do other products');

select is(spend.add_service_tier('test', 'batch', 0.5), 2, 'all of the provider: what was there stays, the other product is added');
select is(spend.add_service_tier('test', 'batch', 0.5), 0, 'a second time adds nothing');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
values ('llm', 'test', 'other', 'input_tokens', 6, '2090-01-01');
select is(spend.add_service_tier('test', 'batch', 0.5), 1, 'after a change of the standard price, what is missing');
select results_eq(
  $$ select meter, units, usd, trim_scale(amount_usd) from spend.explain_cost('test', 'model', '{"input_tokens": 1000, "output_tokens": 0, "service_tier": "batch"}') $$,
  $$ values ('input_tokens', 1000::numeric, 0.5, 0.0005) $$, 'a bill says what it was priced at'
);
select throws_ok($$ select spend.add_service_tier('test', 'batch', 0.4) $$, 'PT409', 'duplicate_price', 'another factor for the same moment is refused');

-- In use
select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm',
  '{"provider": "test", "model": "model", "service_tier": "batch", "input_tokens": 1, "output_tokens": 1}');
select throws_ok(
  $$ update spend.prices set usd = 9 where service_tier = 'batch' and meter = 'output_tokens' and effective_from <= now() $$,
  'PT409', 'price_in_use', 'a price that a factor made is as fixed as any, once it is used'
);
select throws_ok(
  $$ select spend.add_service_tier('test', 'batch', 0.4, now() - interval '1 hour') $$, 'PT409', 'price_would_rewrite_history',
  'a factor cannot take effect before calls that are priced already'
);
select throws_ok($$ select spend.add_service_tier('test', 'standard', 0.5) $$, '22023', 'invalid_service_tier', 'standard is no tier to add');
select throws_ok($$ select spend.add_service_tier('test', 'flex', -1) $$, '22023', 'invalid_service_tier', 'nor is a negative factor one');

select * from finish();
rollback;
