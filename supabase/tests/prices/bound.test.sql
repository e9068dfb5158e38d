-- What is held for a call is an upper bound of what it can cost.
begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(28);

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.prices (resource_type, provider, product, meter, usd, tier_from, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 10, 0, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 20, 0, '2020-01-01'),
  ('llm', 'test', 'model', 'cache_read_tokens', 1, 0, '2020-01-01'),
  ('llm', 'test', 'model', 'cache_write_tokens', 12.5, 0, '2020-01-01'),
  ('llm', 'test', 'model', 'cache_write_1h_tokens', 20, 0, '2020-01-01'),
  ('llm', 'test', 'model', 'audio_input_tokens', 80, 0, '2020-01-01'),
  ('llm', 'test', 'model', 'reasoning_tokens', 30, 0, '2020-01-01'),
  ('llm', 'test', 'model', 'image_output_tokens', 25, 0, '2020-01-01'),
  ('llm', 'test', 'cheap', 'input_tokens', 10, 0, '2020-01-01'),
  ('llm', 'test', 'cheap', 'input_tokens', 40, 1000, '2020-01-01'),
  ('llm', 'test', 'cheap', 'output_tokens', 20, 0, '2020-01-01'),
  ('llm', 'test', 'cheap', 'cache_write_tokens', 90, 0, '2020-01-01'),
  ('llm', 'test', 'cheap', 'cache_write_tokens', 2, 0, '2021-01-01'),
  ('llm', 'test', 'cheap', 'reasoning_tokens', 3, 0, '2020-01-01'),
  ('llm', 'test', 'writer', 'input_tokens', 10, 0, '2020-01-01'),
  ('llm', 'test', 'writer', 'cache_write_tokens', 50, 0, '2020-01-01'),
  ('llm', 'test', 'writer', 'output_tokens', 20, 0, '2020-01-01'),
  ('llm', 'test', 'writer', 'reasoning_tokens', 5, 0, '2020-01-01'),
  ('llm', 'test', 'images', 'input_tokens', 10, 0, '2020-01-01'),
  ('llm', 'test', 'images', 'image_output_tokens', 10, 0, '2020-01-01');

create function pg_temp.usage(p_counts jsonb, p_model text default 'model') returns jsonb language sql as $$
  select jsonb_build_object('provider', 'test', 'model', p_model, 'input_tokens', 0, 'output_tokens', 0) || p_counts
$$;
-- USD of a million tokens: as an estimate, and as usage.
create function pg_temp.estimate(p_counts jsonb, p_model text default 'model') returns numeric language sql as $$
  select trim_scale((spend.check_quota('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(p_counts, p_model))).estimated_cost_usd)
$$;
create function pg_temp.cost(p_counts jsonb, p_model text default 'model') returns numeric language sql as $$
  select trim_scale((spend_private.price_usage(null, 'llm', spend_private.read_usage('llm', pg_temp.usage(p_counts, p_model)), now())).cost_usd)
$$;

select is(pg_temp.cost('{"input_tokens": 1000000}'), 10::numeric, 'A million tokens of input that were used cost $10');
select is(pg_temp.estimate('{"input_tokens": 1000000}'), 12.5, 'The estimate of a million tokens of input expects that all of it is written to the cache');
select is(pg_temp.estimate('{"input_tokens": 1000000, "cache_write_tokens": 0}'), 10::numeric, 'A request that states no cache writes is held without them');
select is(pg_temp.estimate('{"input_tokens": 1000000, "cache_write_tokens": 400000}'), 11::numeric, 'A request that states how much is written to the cache is held for that');
select is(pg_temp.estimate('{"input_tokens": 1000000, "cache_write_1h_tokens": 1000000}'), 20::numeric, 'A request that asks for a cache of an hour is held at its price');
select is(pg_temp.estimate('{"input_tokens": 1000000, "cache_read_tokens": 1000000}'), 1::numeric, 'A request that states its cache reads is held at their price');
select is(pg_temp.estimate('{"input_tokens": 1000000, "cache_read_tokens": 600000}'), 5.6, 'The input that is not stated as read may be written to the cache');
select is(pg_temp.estimate('{"input_tokens": 1000000, "audio_input_tokens": 100000, "cache_write_tokens": 0}'), 17::numeric, 'Audio counts as input only where the request states it');
select is(pg_temp.estimate('{"output_tokens": 1000000}'), 30::numeric, 'All of the output may be reasoning, the dearest kind');
select is(pg_temp.estimate('{"output_tokens": 1000000, "reasoning_tokens": 0}'), 25::numeric, 'Without reasoning all of the output may be images');
select is(pg_temp.estimate('{"output_tokens": 1000000, "reasoning_tokens": 0, "image_output_tokens": 0}'), 20::numeric, 'Without reasoning and images all of the output is text');
select is(pg_temp.estimate('{"output_tokens": 1000000, "reasoning_tokens": null}'), 30::numeric, 'A kind whose count is null counts as not stated');
select is(pg_temp.estimate('{"input_tokens": 1000}', 'cheap'), 0.01, 'A kind that is cheaper, that was dearer once, or whose tier is not reached does not raise the estimate');
select is(pg_temp.estimate('{"input_tokens": 1001}', 'cheap'), 0.04004, 'The bound of the input decides its tier');
select is(pg_temp.estimate('{"output_tokens": 1000000}', 'cheap'), 20::numeric, 'Reasoning that is cheaper than other output does not lower the estimate');
select throws_ok($$ select pg_temp.estimate('{"output_tokens": 1}', 'images') $$, 'PT422', 'unpriced_product', 'A price for a part of the output is no price for the output');
select is(pg_temp.estimate('{"input_tokens": 1000000, "output_tokens": 1000000}', 'writer'), 70::numeric, 'Input is bounded at $50, the dearest kind of input, and output at $20, whatever input may cost');
select is(
  (spend.check_quota('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', '{"provider": "openai", "model": "gpt-4o", "input_tokens": 1000000, "output_tokens": 1000000}')).estimated_cost_usd,
  12.5, 'A model without dearer kinds is held at what it costs'
);

-- No call that the bound allows costs more than it: 10 random splits of it into kinds for each of 200 bounds.
select is_empty($$
  select b.bound, u.usage
  from (
    select n, pg_temp.usage(jsonb_build_object('input_tokens', (random() * 4000)::int, 'output_tokens', (random() * 4000)::int), m.model) as bound
    from generate_series(1, 100) as n, (values ('model'), ('cheap')) as m (model)
  ) as b
  cross join lateral (
    select b.bound || jsonb_build_object(
      'input_tokens', r.i, 'output_tokens', r.o,
      'cache_read_tokens', floor(r.i * r.a), 'cache_write_tokens', floor(r.i * (1 - r.a) * r.b), 'reasoning_tokens', floor(r.o * r.b)
    ) as usage
    from (
      select floor(random() * (b.bound ->> 'input_tokens')::int) as i, floor(random() * (b.bound ->> 'output_tokens')::int) as o, random() as a, random() as b
      from generate_series(1, 10 + 0 * b.n)
    ) as r
  ) as u
  where (spend_private.price_usage(null, 'llm', spend_private.read_usage('llm', b.bound), now(), true)).cost_usd
    < (spend_private.price_usage(null, 'llm', spend_private.read_usage('llm', u.usage), now())).cost_usd
$$, 'No usage within a bound costs more than the bound');

-- The same bound wherever an estimate is priced
create temporary table call (name text, id uuid);
create function pg_temp.reserve(p_name text, p_counts jsonb) returns void language sql as $$
  insert into call select p_name, (spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(p_counts))).reservation_id
$$;
create function pg_temp.of(p_name text) returns spend.reservations language sql as $$
  select r from spend.reservations as r join call as c using (id) where c.name = p_name
$$;
select pg_temp.reserve(n, '{"input_tokens": 100000}') from (values ('unknown'), ('counted'), ('expired'), ('extended'), ('known')) as v (n);
select is(trim_scale((pg_temp.of('known')).estimated_cost_usd), 1.25, 'reserve holds the bound');
select is(
  (select trim_scale(estimated_cost_usd) from spend.extend((pg_temp.of('extended')).id, pg_temp.usage('{"input_tokens": 100000, "output_tokens": 10000}'))),
  1.55, 'extend raises the hold to the bound of the longer call'
);
select spend.settle((pg_temp.of('known')).id, pg_temp.usage('{"input_tokens": 100000}'));
select spend.settle((pg_temp.of('counted')).id, pg_temp.usage('{"input_tokens": 100000}'), '{"is_estimated": true}');
select spend.settle((pg_temp.of('unknown')).id, null);
select spend.settle((pg_temp.of('extended')).id, pg_temp.usage('{"input_tokens": 100000, "output_tokens": 10000}'));
select spend_private.expire_reservations(p_now => now() + interval '1 hour');
select results_eq(
  $$ select c.name, trim_scale(r.actual_cost_usd), r.is_estimated from call as c join spend.reservations as r using (id) order by 1 $$,
  $$ values ('counted', 1::numeric, true), ('expired', 1.25, true), ('extended', 1.2, false), ('known', 1, false), ('unknown', 1.25, true) $$,
  'Known usage is booked at its cost, and unknown usage at the bound'
);
select is_empty($$ select * from spend.reprice('test', 'model', now(), now() + interval '1 second') $$, 'reprice finds nothing to correct');

insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, revision) values
  ('llm', 'test', 'model', 'cache_write_tokens', 15, '2020-01-01', 1);
select results_eq(
  $$ select calls, trim_scale(difference_usd) from spend.reprice('test', 'model', now(), now() + interval '1 second', false) $$,
  $$ values (2::bigint, 0.5) $$, 'A dearer cache write changes only the two calls that are booked at the bound'
);
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, revision) values
  ('llm', 'test', 'model', 'input_tokens', 11, '2020-01-01', 1);
select results_eq(
  $$ select calls, trim_scale(difference_usd) from spend.reprice('test', 'model', now(), now() + interval '1 second', false) $$,
  $$ values (3::bigint, 0.3) $$, 'A dearer input changes the three other calls'
);
select is((pg_temp.of('counted')).is_estimated, true, 'A call that the caller counted stays marked as estimated');
select is_empty($$ select * from spend.reprice('test', 'model', now(), now() + interval '1 second', false) $$, 'After that reprice finds nothing to correct');
select is_empty($$ select * from spend.verify_balances() $$, 'The balances equal the ledger after repricing');

select * from finish();
rollback;
