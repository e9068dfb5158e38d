begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(18);

insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01');

-- What the error says: its message, and the field of its detail.
create function pg_temp.refusal(p_change jsonb) returns text language plpgsql as $$
declare
  v_row spend.prices := jsonb_populate_record(null::spend.prices, '{
    "resource_type": "llm", "provider": "test", "product": "model", "meter": "output_tokens", "unit_size": 1000000,
    "usd": 1, "tier_from": 0, "service_tier": "standard", "effective_from": "2020-01-01", "revision": 0
  }' || p_change);
  v_detail text;
  v_hint text;
begin
  insert into spend.prices (
    resource_type, provider, product, meter, unit_size, usd, tier_from, service_tier, tenant_id, effective_from, revision
  )
  values (
    v_row.resource_type, v_row.provider, v_row.product, v_row.meter, v_row.unit_size, v_row.usd, v_row.tier_from,
    v_row.service_tier, v_row.tenant_id, v_row.effective_from, v_row.revision
  );
  return null;
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
  return format('%s %s: %s%s', sqlstate, sqlerrm, v_detail::jsonb ->> 'field', case v_hint when '' then ', no hint' end);
end $$;

select is(pg_temp.refusal(c.change), c.answer, 'The refusal of a price says what is wrong: ' || c.case)
from (values
  ('{"meter": "output_tokens", "usd": 0}'::jsonb, null, 'a price of 0 is a price'),
  ('{"usd": -1}', '22023 invalid_price: usd', 'a negative price'),
  ('{"usd": "NaN"}', '22023 invalid_price: usd', 'a price that is no number'),
  ('{"usd": "Infinity"}', '22023 invalid_price: usd', 'a price without end'),
  ('{"usd": null}', '22023 invalid_price: usd', 'no price'),
  ('{"unit_size": 0}', '22023 invalid_price: unit_size', 'a price for nothing'),
  ('{"tier_from": -1}', '22023 invalid_price: tier_from', 'a tier below 0'),
  ('{"revision": -1}', '22023 invalid_price: revision', 'a revision below 0'),
  ('{"effective_from": "infinity"}', '22023 invalid_price: effective_from', 'a price that never comes'),
  ('{"provider": ""}', '22023 invalid_price: provider', 'nobody''s product'),
  ('{"product": null}', '22023 invalid_price: product', 'no product'),
  ('{"service_tier": ""}', '22023 invalid_price: service_tier', 'an empty service tier'),
  ('{"meter": "tokens"}', '22023 unknown_meter: meter', 'a meter that there is not'),
  ('{"meter": "vcpu_seconds"}', '22023 unknown_meter: meter', 'a meter of another resource type'),
  ('{"tenant_id": "aaaaaaaa-0000-4000-8000-000000000009"}', 'PT404 unknown_tenant: tenant_id', 'a tenant that there is not'),
  ('{"meter": "input_tokens", "usd": 2}', 'PT409 duplicate_price: effective_from', 'a second price for the same moment')
) as c (change, answer, "case");

select throws_ok(
  $$ update spend.prices set usd = -1 where product = 'model' $$, '22023', 'invalid_price', 'An update to an invalid price is refused'
);
select throws_ok(
  $$ update spend.prices set meter = 'input_tokens' where product = 'model' and meter = 'output_tokens' $$,
  'PT409', 'duplicate_price', 'An update onto another price''s key is refused'
);

select * from finish();
rollback;
