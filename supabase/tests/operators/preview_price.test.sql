begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(18);
\ir ../support/signed_in.psql

-- a is nobody, f an operator who views.
insert into auth.users (id, email)
select ('00000000-0000-4000-8000-00000000000' || u)::uuid, u || '@example.com' from unnest(array['a', 'f']) as u;
insert into spend.operators (user_id, role) values ('00000000-0000-4000-8000-00000000000f', 'viewer');
insert into spend.prices (resource_type, provider, product, meter, usd, unit_size, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 0.15, 1000000, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 0, 1000000, '2020-01-01'),
  ('llm', 'test', 'model', 'cache_read_tokens', 1, 3, '2020-01-01'),
  ('llm', 'test', 'model', 'requests', 0.01, 1, '2020-01-01'),
  ('e2b', 'e2b', '*', 'vcpu_seconds', 0.000014, 1, '2021-01-01');

create function pg_temp.preview(p_meter text, p_arguments text, p_user text default 'f') returns text language sql as $$
  select pg_temp.says(p_user, format(
    'select concat_ws('' '', trim_scale(before_usd), trim_scale(after_usd), coalesce(trim_scale(round(times, 3))::text, ''-''), is_odd)
     from spend.preview_price(%s, %s)',
    (select max(id) from spend.prices where provider in ('test', 'e2b') and meter = p_meter), p_arguments
  ))
$$;

select is(pg_temp.preview('input_tokens', '0.3'), '0.00015 0.0003 2 f', 'Twice the price: 1,000 tokens before and after');
select is(pg_temp.preview('input_tokens', '1.5'), '0.00015 0.0015 10 t', 'Ten times the price is odd');
select is(pg_temp.preview('input_tokens', '1.4999'), '0.00015 0.0014999 9.999 f', 'A little less is not');
select is(pg_temp.preview('input_tokens', '0.015'), '0.00015 0.000015 0.1 t', 'A tenth of it is odd');
select is(pg_temp.preview('input_tokens', '0'), '0.00015 0 0 t', 'Nothing is odd');
select is(pg_temp.preview('output_tokens', '5'), '0 0.005 - f', 'Of nothing nothing is a multiple');
select is(
  pg_temp.preview('cache_read_tokens', '2', 'f'), '333.333333333333 666.666666666667 2 f', 'A part is billed by its price, to twelve decimals'
);
select is(pg_temp.preview('requests', '0.02, 3'), '0.03 0.06 2 f', 'Requests are billed too');
select is(pg_temp.preview('vcpu_seconds', '0.000028, 3600'), '0.0504 0.1008 2 f', 'An hour of a vCPU');
select is(
  (select trim_scale(amount_usd) from spend.explain_cost('test', 'model', '{"input_tokens": 1234567, "output_tokens": 0}') where meter = 'input_tokens'),
  (select trim_scale(before_usd) from spend.preview_price((select max(id) from spend.prices where provider = 'test' and meter = 'input_tokens'), 1, 1234567)),
  'What it costs now is what explain_cost says'
);
select is(pg_temp.preview('input_tokens', '1', 'a'), 'PT403 not_an_operator', 'Who is no operator sees no preview');
select is(pg_temp.says('f', 'select * from spend.preview_price(0, 1)'), 'PT404 unknown_price', 'There is no such price');
select is(pg_temp.preview('input_tokens', '-1'), '22023 invalid_price', 'A price is no less than nothing');
select is(pg_temp.preview('input_tokens', '''NaN'''), '22023 invalid_price', 'A price is a number');
select is(pg_temp.preview('input_tokens', '1, -1'), '22023 invalid_usage', 'So are the units');
select is(pg_temp.preview('input_tokens', '1, 1e18'), '22023 invalid_usage', 'What costs more than 1e9 USD is no preview');
select is(pg_temp.preview('input_tokens', '1e35, 1e12'), '22023 invalid_usage', 'Nor is a price without measure');
select is(pg_temp.preview('input_tokens', '0, 1.7e308'), '22023 invalid_usage', 'Nor are units without measure');
select * from finish();
rollback;
