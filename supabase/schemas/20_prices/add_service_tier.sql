create function spend.add_service_tier(
  provider text,
  service_tier text,
  factor numeric,
  effective_from timestamptz default now(),
  product text default null
)
returns integer
language plpgsql volatile
-- Definer: it calls functions that the caller may not.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_added integer;
begin
  if add_service_tier.service_tier = 'standard' or factor is null or factor < 0 or factor in ('NaN', 'Infinity') then
    perform spend_private.fail(
      '22023', 'invalid_service_tier',
      jsonb_build_object('service_tier', add_service_tier.service_tier, 'factor', factor),
      'service_tier: batch, flex, priority or what the provider calls it; factor: 0 or more, of the standard price.'
    );
  end if;

  if not exists (
    select from spend.prices as p
    where p.provider = add_service_tier.provider and p.service_tier = 'standard'
      and (add_service_tier.product is null or p.product = add_service_tier.product)
  ) then
    raise notice '%', format(
      'There is no standard price of %s: nothing is added.', concat_ws('/', add_service_tier.provider, add_service_tier.product)
    )
    using hint = concat_ws(
      ' ', spend_private.suggested_product(add_service_tier.provider, add_service_tier.product),
      'provider and product: as in spend.prices; product null: all of the provider.'
    );
    return 0;
  end if;

  insert into spend.prices (
    resource_type, provider, product, meter, unit_size, usd, tier_from, service_tier, tenant_id, effective_from, note
  )
  select
    w.resource_type, w.provider, w.product, w.meter, w.unit_size, w.usd, w.tier_from, add_service_tier.service_tier,
    w.tenant_id, w.effective_from, format('%s × standard', factor)
  from spend_private.service_tier_prices(
    add_service_tier.provider, add_service_tier.product, factor, add_service_tier.effective_from
  ) as w
  -- Skip what the tier costs already.
  where w.usd / w.unit_size is distinct from (
    select p.usd / p.unit_size
    from spend.prices as p
    where p.provider = w.provider and p.product = w.product and p.resource_type = w.resource_type
      and p.meter = w.meter and p.tier_from = w.tier_from and p.service_tier = add_service_tier.service_tier
      and p.tenant_id is not distinct from w.tenant_id and p.effective_from <= w.effective_from
    order by p.effective_from desc, p.revision desc
    limit 1
  );
  get diagnostics v_added = row_count;
  return v_added;
end;
$$;
comment on function spend.add_service_tier is
  'Prices a service tier (batch, flex, priority) as factor times standard, from effective_from on: inserts rows into spend.prices for every product of the provider, or for one, also for negotiated prices and for future standard prices that are already there. The factor applies to prices of tokens; other meters (searches, requests) cost the same as in standard. Returns how many rows were new. After a change of the standard price, call it again: it adds what is missing. A provider or product without a standard price gets a notice.
Errors: 22023 invalid_service_tier, and those of an insert into spend.prices (PT409 price_would_rewrite_history, duplicate_price). For service_role.';
grant execute on function spend.add_service_tier to service_role;

create function spend_private.service_tier_prices(
  p_provider text,
  p_product text,
  p_factor numeric,
  p_from timestamptz
)
returns table (
  resource_type text,
  provider text,
  product text,
  meter text,
  unit_size numeric,
  usd numeric,
  tier_from bigint,
  tenant_id uuid,
  effective_from timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  -- The price in force at p_from applies from then on, later ones from their own date.
  select distinct on (
      p.resource_type, p.product, p.meter, p.tier_from, p.tenant_id, greatest(p.effective_from, p_from)
    )
    p.resource_type, p.provider, p.product, p.meter, p.unit_size,
    case when p.meter like '%\_tokens' then p.usd * p_factor else p.usd end,
    p.tier_from, p.tenant_id, greatest(p.effective_from, p_from)
  from spend.prices as p
  where p.provider = p_provider and (p_product is null or p.product = p_product) and p.service_tier = 'standard'
  order by
    p.resource_type, p.product, p.meter, p.tier_from, p.tenant_id, greatest(p.effective_from, p_from),
    p.effective_from desc, p.revision desc;
end;
$$;
comment on function spend_private.service_tier_prices is
  'Standard prices of a provider, or of one product of it, from p_from on, times p_factor where they are for tokens.';
