begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(29);

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.prices (resource_type, provider, product, meter, unit_size, usd, tier_from, effective_from) values
  ('llm', 'test', 'plain', 'input_tokens', 1000000, 1, 0, '2020-01-01'),
  ('llm', 'test', 'plain', 'output_tokens', 1000000, 1.2, 0, '2020-01-01'),
  ('llm', 'test', 'thinker', 'input_tokens', 1000000, 1, 0, '2020-01-01'),
  ('llm', 'test', 'thinker', 'output_tokens', 1000000, 1.2, 0, '2020-01-01'),
  ('llm', 'test', 'thinker', 'reasoning_tokens', 1000000, 4, 0, '2020-01-01'),
  ('llm', 'test', 'tiered', 'input_tokens', 1000000, 1, 0, '2020-01-01'),
  ('llm', 'test', 'tiered', 'input_tokens', 1000000, 4, 32000, '2020-01-01'),
  ('llm', 'test', 'tiered', 'output_tokens', 1000000, 2, 0, '2020-01-01'),
  ('llm', 'test', 'tiered', 'output_tokens', 1000000, 8, 32000, '2020-01-01'),
  ('llm', 'test', 'tiny', 'input_tokens', 1000000, 0.000001, 0, '2020-01-01'),
  ('llm', 'test', 'tiny', 'output_tokens', 1000000, 0, 0, '2020-01-01');

insert into spend.prices (resource_type, provider, product, meter, unit_size, usd, effective_from) values
  ('llm', 'test', 'ear', 'audio_seconds', 3600, 0.36, '2020-01-01'),
  ('llm', 'test', 'mouth', 'characters', 1000000, 15, '2020-01-01');

-- What a call costs: provider and model, then counts.
create function pg_temp.cost(p_provider text, p_model text, p_counts jsonb, p_at timestamptz default now())
returns numeric language sql as $$
  select trim_scale((spend_private.price_usage(
    'aaaaaaaa-0000-4000-8000-000000000001', 'llm',
    spend_private.read_usage('llm', jsonb_build_object('provider', p_provider, 'model', p_model) || p_counts), p_at
  )).cost_usd)
$$;

-- The product that a name is priced as.
create function pg_temp.product(p_provider text, p_model text, p_tenant_id uuid default null)
returns text language sql as $$
  select (spend_private.price_usage(p_tenant_id, 'llm', spend_private.read_usage('llm', jsonb_build_object(
    'provider', p_provider, 'model', p_model, 'input_tokens', 1, 'output_tokens', 1
  )), now())).product
$$;

-- Exact
select is(pg_temp.cost('test', 'plain', '{"input_tokens": 1000, "output_tokens": 500}'), 0.0016, '1,000 tokens in at $1 and 500 out at $1.20 per million cost $0.0016');
select is(pg_temp.cost('test', 'ear', '{"input_tokens": 0, "output_tokens": 0, "audio_seconds": 12.47}'), 0.001247, '12.47 seconds of audio at $0.36 an hour cost $0.001247');
select is(pg_temp.cost('test', 'mouth', '{"input_tokens": 0, "output_tokens": 0, "characters": 27}'), 0.000405, '27 characters at $15 per million cost $0.000405');
select throws_ok($$select pg_temp.cost('test', 'mouth', '{"characters": 1.5}')$$, '22023', 'invalid_usage', 'Half a character is no count');
select is(pg_temp.cost('test', 'tiny', '{"input_tokens": 1, "output_tokens": 0}'), 0.000000000001, 'One token at $0.000001 per million costs a millionth of a millionth of a dollar');
select is(pg_temp.cost('test', 'thinker', '{"input_tokens": 1000, "output_tokens": 500, "reasoning_tokens": 200}'), 0.00216, '200 of 500 tokens out are reasoning, and cost $4 per million');
select is(pg_temp.cost('test', 'plain', '{"input_tokens": 1000, "output_tokens": 500, "reasoning_tokens": 200}'), 0.0016, 'Reasoning without a price of its own costs what output costs');
select is(pg_temp.cost('openai', 'gpt-4o', '{"input_tokens": 1000000, "output_tokens": 1000000}'), 12.5, 'A million tokens in and out of gpt-4o cost $12.50');
select is(
  pg_temp.cost('anthropic', 'claude-sonnet-4-5', '{"input_tokens": 100000, "output_tokens": 1000, "cache_read_tokens": 40000, "cache_write_tokens": 20000, "cache_write_1h_tokens": 10000}'),
  -- 30,000 × $3 + 40,000 × $0.30 + 20,000 × $3.75 + 10,000 × $6 + 1,000 × $15, per million
  0.252, 'Cache reads and writes of five minutes and of an hour of Claude cost their own prices'
);

select is(
  (spend_private.price_usage(
    'aaaaaaaa-0000-4000-8000-000000000001', 'llm',
    spend_private.read_usage('llm', '{"provider": "openai", "model": "text-embedding-3-small", "input_tokens": 1000, "output_tokens": 0}'),
    now()
  )).unpriced_meters, null, 'The output of an embedding, which counts nothing, needs no price'
);

-- Tiers are cliffs on all input tokens
select is(pg_temp.cost('test', 'tiered', '{"input_tokens": 100000, "output_tokens": 1000}'), 0.408, '100,000 tokens in and 1,000 out cost $0.408 above the tier''s start');
select is(pg_temp.cost('test', 'tiered', '{"input_tokens": 31999, "output_tokens": 0}'), 0.031999, '31,999 tokens in, one below the tier''s start, cost the lower price');
select is(pg_temp.cost('test', 'tiered', '{"input_tokens": 32000, "output_tokens": 0}'), 0.032, '32,000 tokens in, the tier''s start, cost the lower price');
select is(pg_temp.cost('test', 'tiered', '{"input_tokens": 32001, "output_tokens": 0}'), 0.128004, '32,001 tokens in, one above the tier''s start, all cost the higher price');
select is(pg_temp.cost('google', 'gemini-2.5-pro', '{"input_tokens": 200000, "output_tokens": 1000}'), 0.26, '200,000 tokens of Gemini cost $1.25 in and $10 out');
select is(pg_temp.cost('google', 'gemini-2.5-pro', '{"input_tokens": 200001, "output_tokens": 1000}'), 0.5150025, '200,001 tokens of Gemini cost $2.50 in and $15 out');

-- Names
select is(pg_temp.product('openai', 'gpt-4o-2024-08-06'), 'gpt-4o', 'A dated name is priced as its model');
select is(pg_temp.product('openai', 'openai/gpt-4o'), 'gpt-4o', 'A name with its provider in front is priced as its model');
select is(pg_temp.product('test', 'unheard-of'), null, 'An unknown name has no price');
insert into spend.product_aliases (provider, match_kind, pattern, product) values
  ('test', 'contains', 'a', 'plain'), ('test', 'starts_with', 'ab', 'tiered'), ('test', 'starts_with', 'abc', 'thinker');
select is(pg_temp.product('test', 'abcd'), 'thinker', 'The most specific of several aliases is used');
insert into spend.product_aliases (provider, match_kind, pattern, product) values ('test', 'equals', 'tiny', 'plain');
select is(
  pg_temp.cost('test', 'tiny', '{"input_tokens": 1000000, "output_tokens": 1000000}'), 0.000001,
  'A product with prices of its own is not priced as the product whose alias it is too'
);
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
values ('llm', 'test', '*', 'input_tokens', 9, '2020-01-01'), ('llm', 'test', '*', 'output_tokens', 9, '2020-01-01');
select is(pg_temp.cost('test', 'zzz', '{"input_tokens": 1000000, "output_tokens": 0}'), 9::numeric, 'The price of * is used where no other matches');

-- A price that a tenant negotiated for a dated name
insert into spend.tenants (id, name) values ('bbbbbbbb-0000-4000-8000-000000000001', 'B');
insert into spend.prices (resource_type, provider, product, meter, usd, tenant_id, effective_from)
values ('llm', 'openai', 'gpt-4o-2024-08-06', 'input_tokens', 1, 'bbbbbbbb-0000-4000-8000-000000000001', '2020-01-01'),
  ('llm', 'openai', 'gpt-4o-2024-08-06', 'output_tokens', 4, 'bbbbbbbb-0000-4000-8000-000000000001', '2020-01-01');
select is(pg_temp.product('openai', 'gpt-4o-2024-08-06', 'bbbbbbbb-0000-4000-8000-000000000001'), 'gpt-4o-2024-08-06', 'A dated name is a product to the tenant that negotiated a price for it');
select is(pg_temp.product('openai', 'gpt-4o-2024-08-06', 'aaaaaaaa-0000-4000-8000-000000000001'), 'gpt-4o', 'A dated name is an alias to other tenants');
select is(pg_temp.cost('openai', 'gpt-4o-2024-08-06', '{"input_tokens": 1000000, "output_tokens": 1000000}'), 12.5, 'Calls of other tenants cost what they did');

-- Time, and tenants
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
values ('llm', 'test', 'plain', 'input_tokens', 3, now() + interval '1 day');
select is(pg_temp.cost('test', 'plain', '{"input_tokens": 1000000, "output_tokens": 0}'), 1::numeric, 'A price that takes effect tomorrow does not count today');
select is(pg_temp.cost('test', 'plain', '{"input_tokens": 1000000, "output_tokens": 0}', now() + interval '1 day'), 3::numeric, 'A price that takes effect tomorrow counts tomorrow');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, tenant_id)
values ('llm', 'test', 'plain', 'input_tokens', 0.5, now(), 'aaaaaaaa-0000-4000-8000-000000000001');
select is(pg_temp.cost('test', 'plain', '{"input_tokens": 1000000, "output_tokens": 1000000}'), 1.7, 'A tenant''s own price is used before the general one, meter by meter');

-- Guards
select results_eq(
  $$ select meter, usd, changes_at > now() from spend.current_prices where product = 'plain' and tenant_id is null order by meter $$,
  $$ values ('input_tokens', 1::numeric, true), ('output_tokens', 1.2, null) $$, 'current_prices shows the prices in force, and when they change'
);

select * from finish();
rollback;
