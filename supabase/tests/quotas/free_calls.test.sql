begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(14);

-- A call that costs nothing passes no limit, and none that is passed already. A limit of 0 refuses everything.
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
delete from spend.cost_quotas;
insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd) values
  ('tenant', 'aaaaaaaa-0000-4000-8000-000000000001', 'llm', 'lifetime', 10);
insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'all', 'lifetime', 10);
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'free', 'input_tokens', 0, '2020-01-01'),
  ('llm', 'test', 'free', 'output_tokens', 0, '2020-01-01');
create function pg_temp.usage(p_model text, p_usd numeric) returns jsonb language sql as $$
  select jsonb_build_object('provider', 'test', 'model', p_model, 'input_tokens', p_usd * 1000000, 'output_tokens', 0)
$$;
create function pg_temp.reserve(p_model text, p_usd numeric) returns spend.reserve_result language sql as $$
  select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(p_model, p_usd))
$$;
create function pg_temp.answers() returns text language sql as $$
  select format('reserve %s, check_quota %s, paid %s',
    (pg_temp.reserve('free', 1)).allowed,
    (spend.check_quota('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage('free', 1))).allowed,
    (pg_temp.reserve('model', 0.000001)).allowed)
$$;
create temporary table call as select (pg_temp.reserve('free', 1)).reservation_id as id;

update spend.cost_quotas set limit_usd = 0 where scope = 'tenant';
select is(pg_temp.answers(), 'reserve f, check_quota f, paid f', 'a limit of 0 refuses it also where nothing was spent');
update spend.cost_quotas set limit_usd = 10 where scope = 'tenant';

select is(pg_temp.answers(), 'reserve t, check_quota t, paid t', 'nothing is spent: both are admitted');
create temporary table long as select (pg_temp.reserve('model', 9.999999)).reservation_id as id;
select is(pg_temp.answers(), 'reserve t, check_quota t, paid f', 'held up to the limit: what costs nothing is admitted');
select spend.settle((select id from long), pg_temp.usage('model', 12));
select is(pg_temp.answers(), 'reserve t, check_quota t, paid f', '$12 of $10 are spent: what costs nothing is admitted');
select is((spend.extend((select id from call), pg_temp.usage('free', 2))).allowed, true, 'and extended');
select is((spend.extend((select id from call), pg_temp.usage('free', 2))).estimated_cost_usd, 0::numeric, 'at nothing');
select is(
  (select array_agg(trim_scale(reserved_usd) order by quota_id) from spend.quota_status), array[0.000001, 0.000001],
  'it holds nothing'
);
select is((spend.settle((select id from call), pg_temp.usage('free', 1))).cost_usd, 0::numeric, 'and settles at nothing');
select is_empty($$ select * from spend.verify_balances() $$, 'verify_balances() is empty');

update spend.cost_quotas set limit_usd = 0 where scope = 'tenant';
select is(pg_temp.answers(), 'reserve f, check_quota f, paid f', 'a limit of 0 refuses it');
select is((pg_temp.reserve('free', 1)).reason, 'exceeds_limit', 'as larger than the limit');
update spend.cost_quotas set limit_usd = 5, enforcement = 'observe' where scope = 'tenant';
select is(pg_temp.answers(), 'reserve t, check_quota t, paid f', 'a quota that observes does not, nor one that is passed');
update spend.cost_quotas set enforcement = 'block', slots = 4;
select is(pg_temp.answers(), 'reserve t, check_quota t, paid f', 'in how many slots it is split changes nothing');

select is_empty($$ select * from spend.verify_balances() $$, 'verify_balances() is empty still');

select * from finish();
rollback;
