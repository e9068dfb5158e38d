begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(17);

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'unused', 'input_tokens', 1, '2020-01-01');
create function pg_temp.call(p_now timestamptz) returns uuid language sql as $$
  select (spend_private.reserve(
    'aaaaaaaa-0000-4000-8000-000000000001', null, 'llm',
    '{"provider": "test", "model": "model", "input_tokens": 1000000, "output_tokens": 0}', p_now => p_now
  )).reservation_id
$$;
create function pg_temp.settle(p_id uuid) returns numeric language sql as $$
  select trim_scale((spend.settle(p_id, '{"provider": "test", "model": "model", "input_tokens": 1000000, "output_tokens": 0}')).cost_usd)
$$;
create temporary table call (name text, id uuid);
grant all on call to service_role;

-- A price change between two calls, and between a call and its settlement
insert into call values ('before', pg_temp.call(now()));
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
values ('llm', 'test', 'model', 'input_tokens', 5, now() + interval '1 minute');
insert into call values ('after', pg_temp.call(now() + interval '1 minute'));
select is(pg_temp.settle((select id from call where name = 'before')), 1::numeric, 'A call made before a price change settles at the old price');
select is(pg_temp.settle((select id from call where name = 'after')), 5::numeric, 'A call made after a price change settles at the new price');

-- Rows in use
select throws_ok($$ update spend.prices set usd = 2 where product = 'model' and meter = 'input_tokens' $$, 'PT409', 'price_in_use', 'A used price cannot be changed');
select throws_ok($$ update spend.prices set effective_from = '2019-01-01' where product = 'model' and meter = 'input_tokens' and usd = 1 $$, 'PT409', 'price_in_use', 'The date of a used price cannot be changed');
select throws_ok($$ update spend.prices set first_used_at = null where product = 'model' and meter = 'input_tokens' and usd = 1 $$, 'PT409', 'price_in_use', 'The mark that a price is used cannot be removed');
select throws_ok($$ delete from spend.prices where product = 'model' $$, 'PT409', 'price_in_use', 'A used price cannot be deleted');
select throws_ok($$ truncate spend.prices $$, 'PT409', 'price_in_use', 'Used prices cannot be truncated');
set local role service_role;
select throws_ok($$ update spend.prices set usd = 2 where product = 'model' and meter = 'input_tokens' $$, 'PT409', 'price_in_use', 'service_role cannot change a used price');
select throws_ok($$ delete from spend.prices where product = 'model' $$, 'PT409', 'price_in_use', 'service_role cannot delete a used price');
select throws_ok(
  $$ insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
     values ('llm', 'test', 'model', 'output_tokens', 9, '2020-01-01')
     on conflict on constraint one_price_per_moment do update set usd = excluded.usd $$,
  'PT409', 'duplicate_price', 'An upsert cannot change a used price'
);
select throws_ok(
  $$ merge into spend.prices as p using (values ('model')) as v (product) on p.product = v.product and p.meter = 'input_tokens'
     when matched then update set usd = 0 $$,
  'PT409', 'price_in_use', 'A merge cannot change a used price'
);
reset role;
insert into auth.users (id) values ('00000000-0000-4000-8000-00000000000a');
insert into spend.tenant_members (tenant_id, user_id, role)
values ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'owner');
set local role authenticated;
set local "request.jwt.claim.sub" = '00000000-0000-4000-8000-00000000000a';
select throws_ok($$ update spend.prices set usd = 0 $$, '42501', null, 'An owner of a tenant cannot change prices');
select throws_ok($$ delete from spend.prices $$, '42501', null, 'An owner of a tenant cannot delete prices');
reset role;
select lives_ok($$ update spend.prices set note = 'list price' where product = 'model' $$, 'The note of a used price may be changed');
select lives_ok($$ update spend.prices set usd = 2 where product = 'unused' $$, 'A price that nobody used may be changed');
select lives_ok($$ delete from spend.prices where product = 'unused' $$, 'A price that nobody used may be deleted');

-- Past dates
select throws_ok(
  $$ insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values ('llm', 'test', 'model', 'input_tokens', 9, now() - interval '1 day') $$,
  'PT409', 'price_would_rewrite_history', 'A price cannot take effect before calls that are priced already'
);

select * from finish();
rollback;
