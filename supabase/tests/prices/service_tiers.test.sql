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

select is(pg_temp.cost('{"input_tokens": 1000000}'), null, 'A service tier without prices has no price, and is not free');

set local role service_role;
select is(spend.add_service_tier('test', 'batch', 0.5, product => 'model'), 6, 'Adding batch at half of standard makes a row for each price of a product, future and negotiated ones too');
reset role;
select is(pg_temp.cost('{"input_tokens": 1000}'), 0.0005, 'Input in batch costs half');
select is(pg_temp.cost('{"output_tokens": 1}'), 0.000001, 'Output in batch costs half');
select is(pg_temp.cost('{"input_tokens": 1001}'), 0.0015015, 'Input above the tier''s start costs half of the price there');
select is(pg_temp.cost('{"web_searches": 1}'), 0.01, 'A meter that counts no tokens costs the same in batch');
select is(pg_temp.cost('{"output_tokens": 1}', p_at => '2100-01-01'), 0.000000000002, 'A future price is halved from its day on, exact to the twelfth decimal');
select is(pg_temp.cost('{"input_tokens": 1000}', p_tenant => 'aaaaaaaa-0000-4000-8000-000000000001'), 0.0004, 'A negotiated price is halved');
select is(pg_temp.cost('{"input_tokens": 1000}', 'standard'), 0.001, 'Standard prices stay as they were');
select is_empty($$ select from spend.prices where service_tier = 'batch' and (provider, product) <> ('test', 'model') $$, 'Other products get no batch prices');

select is(spend.add_service_tier('test', 'batch', 0.5), 2, 'Adding batch for a whole provider adds what is missing');
select is(spend.add_service_tier('test', 'batch', 0.5), 0, 'Adding batch a second time adds nothing');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
values ('llm', 'test', 'other', 'input_tokens', 6, '2090-01-01');
select is(spend.add_service_tier('test', 'batch', 0.5), 1, 'After a change of a standard price, adding batch adds the row that is missing');
select results_eq(
  $$ select meter, units, usd, trim_scale(amount_usd) from spend.explain_cost('test', 'model', '{"input_tokens": 1000, "output_tokens": 0, "service_tier": "batch"}') $$,
  $$ values ('input_tokens', 1000::numeric, 0.5, 0.0005) $$, 'A bill shows the price of the service tier'
);
select throws_ok($$ select spend.add_service_tier('test', 'batch', 0.4) $$, 'PT409', 'duplicate_price', 'Another factor for the same moment is refused');

-- In use
select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm',
  '{"provider": "test", "model": "model", "service_tier": "batch", "input_tokens": 1, "output_tokens": 1}');
select throws_ok(
  $$ update spend.prices set usd = 9 where service_tier = 'batch' and meter = 'output_tokens' and effective_from <= now() $$,
  'PT409', 'price_in_use', 'A price that a factor made cannot be changed once it is used'
);
select throws_ok(
  $$ select spend.add_service_tier('test', 'batch', 0.4, now() - interval '1 hour') $$, 'PT409', 'price_would_rewrite_history',
  'A factor cannot take effect before calls that are priced already'
);
select throws_ok($$ select spend.add_service_tier('test', 'standard', 0.5) $$, '22023', 'invalid_service_tier', 'Standard cannot be added as a service tier');
select throws_ok($$ select spend.add_service_tier('test', 'flex', -1) $$, '22023', 'invalid_service_tier', 'A negative factor is refused');

select * from finish();
rollback;
