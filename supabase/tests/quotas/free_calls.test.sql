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
select is(pg_temp.answers(), 'reserve f, check_quota f, paid f', 'A limit of 0 refuses a call that is free where nothing was spent');
update spend.cost_quotas set limit_usd = 10 where scope = 'tenant';

select is(pg_temp.answers(), 'reserve t, check_quota t, paid t', 'A limit of 10 admits free and paid calls where nothing was spent');
create temporary table long as select (pg_temp.reserve('model', 9.999999)).reservation_id as id;
select is(pg_temp.answers(), 'reserve t, check_quota t, paid f', 'A quota that is held up to its limit admits a free call');
select spend.settle((select id from long), pg_temp.usage('model', 12));
select is(pg_temp.answers(), 'reserve t, check_quota t, paid f', 'A quota that is over its limit admits a free call');
select is((spend.extend((select id from call), pg_temp.usage('free', 2))).allowed, true, 'A quota that is over its limit admits the extension of a free call');
select is((spend.extend((select id from call), pg_temp.usage('free', 2))).estimated_cost_usd, 0::numeric, 'The extension of a free call is estimated at nothing');
select is(
  (select array_agg(trim_scale(reserved_usd) order by quota_id) from spend.quota_status), array[0.000001, 0.000001],
  'A free call holds nothing'
);
select is((spend.settle((select id from call), pg_temp.usage('free', 1))).cost_usd, 0::numeric, 'A free call settles at nothing');
select is_empty($$ select * from spend.verify_balances() $$, 'The balances equal the ledger after free calls');

update spend.cost_quotas set limit_usd = 0 where scope = 'tenant';
select is(pg_temp.answers(), 'reserve f, check_quota f, paid f', 'A limit of 0 refuses a free call when the limit is exceeded');
select is((pg_temp.reserve('free', 1)).reason, 'exceeds_limit', 'A limit of 0 refuses a free call as larger than the limit');
update spend.cost_quotas set limit_usd = 5, enforcement = 'observe' where scope = 'tenant';
select is(pg_temp.answers(), 'reserve t, check_quota t, paid f', 'A quota that observes, or is over its limit, admits a free call');
update spend.cost_quotas set enforcement = 'block', slots = 4;
select is(pg_temp.answers(), 'reserve t, check_quota t, paid f', 'A quota split into four slots admits a free call too');

select is_empty($$ select * from spend.verify_balances() $$, 'The balances equal the ledger after all free calls');

select * from finish();
rollback;
