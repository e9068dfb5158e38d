create function spend.add_price(
  resource_type text,
  provider text,
  product text,
  meter text,
  usd numeric,
  effective_from timestamptz default null,
  unit_size numeric default 1000000,
  tier_from bigint default 0,
  service_tier text default 'standard',
  tenant_id uuid default null,
  note text default null
)
returns bigint
language plpgsql volatile
-- Definer: who may is decided here; users have no right to write prices.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_id bigint;
begin
  perform spend_private.demand_operator('editor');
  insert into spend.prices (
    resource_type, provider, product, meter, usd, effective_from, unit_size, tier_from, service_tier, tenant_id, note
  )
  values (
    add_price.resource_type, add_price.provider, add_price.product, add_price.meter, add_price.usd,
    coalesce(add_price.effective_from, now()), coalesce(add_price.unit_size, 1000000),
    coalesce(add_price.tier_from, 0), coalesce(add_price.service_tier, 'standard'), add_price.tenant_id, add_price.note
  )
  returning id into v_id;
  return v_id;
end;
$$;
comment on function spend.add_price is
  'Inserts a row of spend.prices, and answers its id: usd for unit_size units of the meter, from effective_from on (null: now). What is held already keeps the prices that it was held at.
For operators of the role editor, and service_role. Errors: PT403 not_an_operator, and those of an insert into spend.prices (22023 invalid_price and unknown_meter with field and allowed values, PT409 duplicate_price).';
grant execute on function spend.add_price to authenticated, service_role;
