begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(24);

-- What a usual call is looked at for at once: its prices, its usage and its quotas.
insert into spend.tenants (id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A'), ('bbbbbbbb-0000-4000-8000-000000000002', 'B');
delete from spend.cost_quotas;
insert into spend.prices (provider, product, resource_type, meter, usd, unit_size, effective_from) values
  ('test', 'model', 'llm', 'input_tokens', 1, 1, '2020-01-01'), ('test', 'model', 'llm', 'output_tokens', 1, 1, '2020-01-01'),
  ('test', 'other', 'llm', 'input_tokens', 1, 1, '2020-01-01'), ('test', 'other', 'llm', 'output_tokens', 1, 1, '2020-01-01'),
  ('test', '*', 'e2b', 'vcpu_seconds', 1, 1, '2020-01-01'), ('test', '*', 'e2b', 'gib_seconds', 1, 1, '2020-01-01');
create function pg_temp.usage(p_changes jsonb default '{}') returns jsonb language sql as $$
  select '{"provider": "test", "model": "model", "input_tokens": 1, "output_tokens": 1}'::jsonb || p_changes
$$;
create function pg_temp.reserve(p_tenant text, p_usage jsonb default pg_temp.usage(), p_resource_type text default 'llm', p_task text default 'chat')
returns spend.reserve_result language sql as $$
  select r.* from spend.tenants as t cross join lateral spend.reserve(t.id, null, p_resource_type, p_usage, p_task) as r where t.name = p_tenant
$$;

-- Prices
select is(
  (select s.has_negotiated from spend_private.price_state as s), exists (select from spend.prices as p where p.tenant_id is not null),
  'The price list says whether a tenant has prices of its own'
);
select is((select estimated_cost_usd from pg_temp.reserve('A', pg_temp.usage('{"model": "other"}'))), 2::numeric, 'A call costs the general prices');
select is(
  (select count(*) from spend.prices as p where p.provider = 'test' and p.product = 'other' and p.first_used_at is null), 0::bigint,
  'The first call of a product marks its prices as used'
);
insert into spend.prices (provider, product, resource_type, meter, usd, unit_size, effective_from, tenant_id)
values ('test', 'model', 'llm', 'output_tokens', 0.25, 1, '2020-01-01', 'aaaaaaaa-0000-4000-8000-000000000001');
select ok((select s.has_negotiated from spend_private.price_state as s), 'A price of a tenant''s own is known of');
create temp table own as select * from pg_temp.reserve('A');
select is((select estimated_cost_usd from own), 1.25, 'A tenant with a price of its own holds at that one and at the general ones');
select is(
  (select count(*) from spend.prices as p where p.tenant_id is not null and p.provider = 'test' and p.first_used_at is null), 0::bigint,
  'The first call marks a tenant''s own prices as used'
);
select is((select s.cost_usd from own, spend.settle(own.reservation_id, pg_temp.usage('{"output_tokens": 2}')) as s), 1.5, 'It is charged at its own price');
select is((select estimated_cost_usd from pg_temp.reserve('B')), 2::numeric, 'Another tenant pays the general prices');

-- Usage
select throws_ok(format('select pg_temp.reserve(''A'', %L)', pg_temp.usage(d.changes::jsonb)), '22023', 'invalid_usage', 'Refused: ' || left(d.changes, 40))
from (
  values
    (format('{"model": "%s"}', repeat('m', 201))), ('{"model": ["model"]}'), ('{"provider": ["test"]}'), ('{"service_tier": ["standard"]}'), ('{"model": ""}'), ('{"model": {"a": 1}}'),
    ('{"input_tokens": [1]}'), ('{"input_tokens": [[1]]}'), ('{"input_tokens": {"a": 1}}'), ('{"input_tokens": "1"}')
) as d (changes);
select throws_ok(
  format('select pg_temp.reserve(''A'', %L, ''e2b'')', '{"provider": "test", "vcpus": 2, "memory_gib": 1, "seconds": 1}'::jsonb || d.changes::jsonb),
  '22023', 'invalid_usage', 'Refused of a sandbox: ' || d.changes
)
from (values ('{"vcpus": 0}'), ('{"memory_gib": 0}'), ('{"template": ["base"]}')) as d (changes);

-- Quotas of the platform
insert into spend.cost_quotas (scope, resource_type, period, limit_usd, task, product) values
  ('platform', 'llm', 'day', 1000, 'summary', null), ('platform', 'llm', 'week', 1000, null, 'other'), ('platform', 'e2b', 'month', 1000, null, null);
create function pg_temp.held_in(p_reservation_id uuid) returns text language sql as $$
  select coalesce(string_agg(q.period, ' ' order by q.period), 'none')
  from spend.reservations as r cross join lateral unnest(r.holds) as h join spend.cost_quotas as q on q.id = h.quota_id
  where r.id = p_reservation_id
$$;
select is(pg_temp.held_in(c.reservation_id), d.periods, 'Platform quotas that count ' || d.what)
from (
  values
    ('a summary by the other model', pg_temp.usage('{"model": "other"}'), 'llm', 'summary', 'day week'),
    ('a chat by a model that no quota names', pg_temp.usage(), 'llm', 'chat', 'none'),
    ('a sandbox', '{"provider": "test", "vcpus": 2, "memory_gib": 1, "seconds": 1}', 'e2b', 'chat', 'month')
) as d (what, usage, resource_type, task, periods)
cross join lateral pg_temp.reserve('A', d.usage, d.resource_type, d.task) as c;
select * from finish();
rollback;
