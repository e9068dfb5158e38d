begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(9);

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b');
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 2, '2020-01-01');

-- Usage that costs p_usd dollars.
create function pg_temp.usage(p_usd numeric) returns jsonb language sql as $$
  select jsonb_build_object(
    'provider', 'test', 'model', 'model', 'input_tokens', (p_usd * 1000000)::bigint, 'output_tokens', 0
  )
$$;
create function pg_temp.reserve(p_usd numeric, p_now timestamptz default now(), p_task text default 'chat')
returns spend.reserve_result language sql as $$
  select spend_private.reserve(
    'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm',
    pg_temp.usage(p_usd), p_task, p_now => p_now
  )
$$;
-- The tenant's llm quota: spent and held.
create function pg_temp.balance() returns text language sql as $$
  select format('%s spent, %s held', trim_scale(spent_usd), trim_scale(reserved_usd))
  from spend.quota_status where scope = 'tenant' and resource_type = 'llm'
    and tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and task is null and product is null
$$;

create function pg_temp.alerts() returns text language sql as $$
  select string_agg(format('%s at %s', a.kind, (a.details).utilization_percent), ', ' order by a.id)
  from spend.alerts as a join spend.cost_quotas as q on q.id = a.quota_id
  where q.resource_type = 'llm'
$$;

select is(cardinality((pg_temp.reserve(79)).warnings), 0, '79 of 100: no warning');
select is(pg_temp.alerts(), null, 'and no alert');
select is(
  (select array_agg((w).scope || ' ' || (w).resource_type) from unnest((pg_temp.reserve(1)).warnings) as w),
  array['tenant llm'], '80 of 100: the answer names the quota'
);
select is(pg_temp.alerts(), 'warning at 80.00', 'one alert is recorded');
select is(cardinality((pg_temp.reserve(5)).warnings), 1, '85: the answer warns again');
select is(pg_temp.alerts(), 'warning at 80.00', 'but the alert is there already');
select is((pg_temp.reserve(50)).allowed, false, 'a refusal');
select is(pg_temp.alerts(), 'warning at 80.00, limit at 85.00', 'records the limit');
select is((select count(*) from (select (pg_temp.reserve(15)).allowed) as r, spend.alerts), 2::bigint, 'reaching it records nothing more');

select * from finish();
rollback;
