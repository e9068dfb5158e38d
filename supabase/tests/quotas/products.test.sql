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
  '22023', 'invalid_quota', 'a name that no price covers is refused'
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
select is(pg_temp.quota('gpt-4o'), 'gpt-4o', 'a product is kept as it is');
select is(pg_temp.allowed('openai', 'openai/gpt-4o'), false, 'and its calls are counted, with the provider in front');
select is(pg_temp.allowed('openai', 'gpt-4o-2024-08-06'), false, 'or a date behind');
select is(pg_temp.quota('gpt-4o-2024-08-06'), 'gpt-4o', 'an alias is resolved');
select is(pg_temp.quota('gpt-4o-2024-08-06', 'all'), 'gpt-4o', 'in a quota of all resources too');
select is(pg_temp.quota('GPT-4o'), 'gpt-4o', 'another case is resolved');
select is(pg_temp.quota('OpenAI/GPT-4o-2024-08-06'), 'gpt-4o', 'all of it at once');
select throws_ok(
  $$ select pg_temp.quota('openai/gpt-4o') $$, '22023', 'invalid_quota', 'openai/gpt-4o is gpt-4o of openai and a product of openrouter: refused'
);
select is(pg_temp.quota('openrouter/openai/gpt-4o'), 'openai/gpt-4o', 'openrouter/openai/gpt-4o is the one');
select lives_ok($$ update spend.cost_quotas set limit_usd = 1, product = product $$, 'which stays so when the limit is changed');
select lives_ok($$ update spend.cost_quotas set product = 'openai/gpt-4o' $$, 'or the same name is written again');
select throws_ok($$ update spend.cost_quotas set product = 'anthropic/claude-3-opus' $$, '22023', 'invalid_quota', 'a changed name is looked up');
select throws_ok($$ select pg_temp.quota('maker/thing') $$, '22023', 'invalid_quota', 'maker/thing is two products, refused');
select is(pg_temp.quota('shop/maker/thing'), 'maker/thing', 'shop/maker/thing is one');
select is(pg_temp.quota('thing-2026-01-01'), 'thing', 'a dated name');
select is(pg_temp.quota('maker/thing-2026-01-01'), 'thing', 'a dated name with its provider');
select is(pg_temp.quota('maker/thing-3-mini-preview'), 'thing-3-mini', 'a name that a pattern matches');
select is(pg_temp.quota('maker/MIXED-case'), 'Mixed-Case', 'the case is that of the product');
select is(pg_temp.quota('dated', 'llm', 'bbbbbbbb'), 'dated', 'a name that the tenant negotiated a price for is a product to it');
select is(pg_temp.quota('dated'), 'thing', 'to another tenant it is an alias');
select throws_ok($$ select pg_temp.quota('dated', 'llm', null) $$, '22023', 'invalid_quota', 'to everybody it is two');
select is(pg_temp.quota('base', 'e2b'), 'base', 'a template');
select is(pg_temp.quota('Base', 'e2b'), 'base', 'in another case');
select throws_ok(format('select pg_temp.quota(%L)', n.name), '22023', 'invalid_quota', format('%L is no product', n.name))
from (values (''), (' '), ('*'), ('acme/*'), ('acme/')) as n (name);

-- '*' prices any name: no spelling escapes
select is(pg_temp.quota('acme/Big-Model'), 'big-model', 'a product that ''*'' prices is kept in small letters, without its provider');
select is(pg_temp.allowed('acme', m.model), false, format('the quota on big-model counts %s', m.model))
from (values ('big-model'), ('acme/big-model'), ('Big-Model'), ('ACME/BIG-MODEL'), ('acme/acme/big-model'), (' big-model '), ('big-model-latest'), ('Big-Model-Latest')) as m (model);
select is(pg_temp.allowed('acme', 'big-model-2'), true, 'and not big-model-2');
select is(pg_temp.quota('acme/own-model'), 'Own-Model', 'beside ''*'', a product with a price of its own');
select is(pg_temp.allowed('acme', 'own-model'), false, 'is counted in any case');
select is(
  (select trim_scale((spend.check_quota('bbbbbbbb-0000-4000-8000-000000000001', null, 'llm',
    '{"provider": "acme", "model": "acme/OWN-MODEL", "input_tokens": 1000000, "output_tokens": 0}')).estimated_cost_usd)),
  5::numeric, 'and costs its own price, $5, not that of ''*'', $1'
);

select * from finish();
rollback;
