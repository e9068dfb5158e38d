begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(42);

-- A quota by product counts the product's calls, however either of them spells it.
insert into spend.tenants (id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A'), ('bbbbbbbb-0000-4000-8000-000000000001', 'B');
delete from spend.cost_quotas;
select throws_ok(
  $$ insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, product)
     values ('tenant', 'aaaaaaaa-0000-4000-8000-000000000001', 'llm', 'month', 0, 'gpt4o') $$,
  '22023', 'invalid_quota', 'A quota on a name that no price covers is refused'
);
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, tenant_id)
select 'llm', p.provider, p.product, m.meter, p.usd, '2020-01-01', p.tenant_id
from (values
  ('acme', '*', 1, null::uuid), ('acme', 'Own-Model', 5, null), ('shop', 'maker/thing', 2, null), ('maker', 'thing', 3, null),
  ('maker', 'Mixed-Case', 3, null), ('maker', 'thing-3-mini', 1, null), ('maker', 'dated', 1, 'bbbbbbbb-0000-4000-8000-000000000001')
) as p (provider, product, usd, tenant_id)
cross join (values ('input_tokens'), ('output_tokens')) as m (meter);
insert into spend.product_aliases (provider, match_kind, pattern, product) values
  ('maker', 'equals', 'thing-2026-01-01', 'thing'), ('maker', 'starts_with', 'thing-3', 'thing-3-mini'), ('maker', 'equals', 'dated', 'thing'),
  ('acme', 'equals', 'big-model-latest', 'big-model');

create function pg_temp.quota(p_product text, p_resource_type text default 'llm', p_tenant text default 'aaaaaaaa') returns text language plpgsql as $$
declare
  v_product text;
begin
  delete from spend.cost_quotas;
  insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, product)
  values (
    case when p_tenant is null then 'platform' else 'tenant' end, (p_tenant || '-0000-4000-8000-000000000001')::uuid,
    p_resource_type, 'month', 0, p_product
  )
  returning product into v_product;
  return v_product;
end;
$$;
create function pg_temp.allowed(p_provider text, p_model text) returns boolean language sql as $$
  select (spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', jsonb_build_object(
    'provider', p_provider, 'model', p_model, 'input_tokens', 1, 'output_tokens', 1
  ))).allowed
$$;

-- Names of the catalogue
select is(pg_temp.quota('gpt-4o'), 'gpt-4o', 'A quota on a product keeps the product''s name');
select is(pg_temp.allowed('openai', 'openai/gpt-4o'), false, 'A quota on gpt-4o counts openai/gpt-4o');
select is(pg_temp.allowed('openai', 'gpt-4o-2024-08-06'), false, 'A quota on gpt-4o counts gpt-4o-2024-08-06');
select is(pg_temp.quota('gpt-4o-2024-08-06'), 'gpt-4o', 'A quota on an alias is one on its product');
select is(pg_temp.quota('gpt-4o-2024-08-06', 'all'), 'gpt-4o', 'A quota of all resources on an alias is one on its product');
select is(pg_temp.quota('GPT-4o'), 'gpt-4o', 'A quota on GPT-4o is one on gpt-4o');
select is(pg_temp.quota('OpenAI/GPT-4o-2024-08-06'), 'gpt-4o', 'A quota on OpenAI/GPT-4o-2024-08-06 is one on gpt-4o');
select throws_ok(
  $$ select pg_temp.quota('openai/gpt-4o') $$, '22023', 'invalid_quota', 'A quota on openai/gpt-4o is refused, because openrouter has a product of that name'
);
select is(pg_temp.quota('openrouter/openai/gpt-4o'), 'openai/gpt-4o', 'A quota on openrouter/openai/gpt-4o is one on openrouter''s product');
select lives_ok($$ update spend.cost_quotas set limit_usd = 1, product = product $$, 'A quota keeps its product when its limit changes');
select lives_ok($$ update spend.cost_quotas set product = 'openai/gpt-4o' $$, 'A quota keeps its product when the same name is written again');
select throws_ok($$ update spend.cost_quotas set product = 'anthropic/claude-3-opus' $$, '22023', 'invalid_quota', 'A quota whose product changes to a name of two products is refused');
select throws_ok($$ select pg_temp.quota('maker/thing') $$, '22023', 'invalid_quota', 'A quota on maker/thing is refused, because it is two products');
select is(pg_temp.quota('shop/maker/thing'), 'maker/thing', 'A quota on shop/maker/thing is one on shop''s product');
select is(pg_temp.quota('thing-2026-01-01'), 'thing', 'A quota on a dated name is one on its product');
select is(pg_temp.quota('maker/thing-2026-01-01'), 'thing', 'A quota on a dated name with its provider is one on its product');
select is(pg_temp.quota('maker/thing-3-mini-preview'), 'thing-3-mini', 'A quota on a name that a pattern matches is one on its product');
select is(pg_temp.quota('maker/MIXED-case'), 'Mixed-Case', 'A quota has its product''s name in the product''s case');
select is(pg_temp.quota('dated', 'llm', 'bbbbbbbb'), 'dated', 'A quota of a tenant that negotiated a price for a name is one on that name');
select is(pg_temp.quota('dated'), 'thing', 'A quota of another tenant on that name is one on the aliased product');
select throws_ok($$ select pg_temp.quota('dated', 'llm', null) $$, '22023', 'invalid_quota', 'A quota of everybody on that name is refused, because it is two products');
select is(pg_temp.quota('base', 'e2b'), 'base', 'A quota on a template keeps the template''s name');
select is(pg_temp.quota('Base', 'e2b'), 'base', 'A quota on a template in another case is one on the template');
select throws_ok(format('select pg_temp.quota(%L)', n.name), '22023', 'invalid_quota', format('A quota on %L is refused', n.name))
from (values (''), (' '), ('*'), ('acme/*'), ('acme/')) as n (name);

-- '*' prices any name: no spelling escapes
select is(pg_temp.quota('acme/Big-Model'), 'big-model', 'A quota on a product that * prices has its name in small letters and without its provider');
select is(pg_temp.allowed('acme', m.model), false, format('A quota on big-model counts %s', m.model))
from (values ('big-model'), ('acme/big-model'), ('Big-Model'), ('ACME/BIG-MODEL'), ('acme/acme/big-model'), (' big-model '), ('big-model-latest'), ('Big-Model-Latest')) as m (model);
select is(pg_temp.allowed('acme', 'big-model-2'), true, 'A quota on big-model does not count big-model-2');
select is(pg_temp.quota('acme/own-model'), 'Own-Model', 'A quota on a product with a price beside * keeps the product''s name');
select is(pg_temp.allowed('acme', 'own-model'), false, 'A quota on own-model counts it in any case');
select is(
  (select trim_scale((spend.check_quota('bbbbbbbb-0000-4000-8000-000000000001', null, 'llm',
    '{"provider": "acme", "model": "acme/OWN-MODEL", "input_tokens": 1000000, "output_tokens": 0}')).estimated_cost_usd)),
  5::numeric, 'A call of own-model costs its own price of $5, not the $1 of *'
);

select * from finish();
rollback;
