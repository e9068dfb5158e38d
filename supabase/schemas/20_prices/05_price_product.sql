create type spend_private.priced_usage as (
  product text,
  cost_usd numeric,
  price_ids bigint[],
  units numeric[],
  unpriced_meters text[],
  priced_as text
);
comment on type spend_private.priced_usage is
  'What usage costs. product: the resolved name; priced_as: the product of the rows that price it, ''*'' where those do; price_ids, units: the lines of the bill, by which price and how many units; unpriced_meters: counted, but without a price of their own or of the meter they are part of; not in cost_usd.';

create type spend_private.price_in_force as (
  product text,
  meter text,
  part_of text,
  units numeric,
  id bigint,
  usd numeric,
  unit_size numeric
);
comment on type spend_private.price_in_force is
  'Price of a meter of a call: usd per unit_size units, from row id of spend.prices. units: what the call counts of it; null: a part that the bound does not state. part_of: the meter whose count includes this one.';

create function spend_private.price_product(
  p_tenant_id uuid,
  p_resource_type text,
  p_counts spend_private.usage_counts,
  p_name text,
  p_at timestamptz,
  p_is_bound boolean,
  p_version bigint default null
)
returns spend_private.priced_usage
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.bill(p_resource_type, p_counts, spend_private.prices_in_force(
    p_tenant_id, p_resource_type, p_counts, p_name, p_at, p_is_bound, p_version
  ));
end;
$$;
comment on function spend_private.price_product is
  'Cost of usage at the prices in force at p_at for the product of this name, or of the product whose alias it is: the first that has a price for any of what is counted; null when none has. p_is_bound, p_version: see prices_in_force. Raises 22023 invalid_usage, as bill does.';

create function spend_private.prices_in_force(
  p_tenant_id uuid,
  p_resource_type text,
  p_counts spend_private.usage_counts,
  p_name text,
  p_at timestamptz,
  p_is_bound boolean,
  p_version bigint
)
returns spend_private.price_in_force[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return array(
    select distinct on (p.product <> p_name, coalesce(m.part_of, m.meter), m.part_of is null, m.meter)
      row(
        p.product, p.meter, m.part_of, (p_counts.units ->> p.meter)::numeric, p.id, p.usd, p.unit_size
      )::spend_private.price_in_force
    from spend.prices as p
    join spend.meters as m on m.resource_type = p_resource_type and m.meter = p.meter
    where p.provider = p_counts.provider
      and p.product = any (p_name || array(
        select a.product
        from spend.product_aliases as a
        where p_version is null and a.provider = p_counts.provider and a.match_kind = 'equals' and a.pattern = p_name
      ))
      and p.resource_type = p_resource_type
      and p.service_tier = p_counts.service_tier
      and (p.tenant_id is null or p.tenant_id = p_tenant_id)
      and (p.tier_from = 0 or p.tier_from < p_counts.total_input)
      and p.effective_from <= p_at
      and (p_version is null or p.version <= p_version)
      and (p_counts.units ->> p.meter is not null or (p_is_bound and m.provider_decides and m.part_of is not null))
    order by
      p.product <> p_name, coalesce(m.part_of, m.meter), m.part_of is null, m.meter,
      -- The first is in force: the tenant's own price, then the highest tier that the call reaches, then the newest.
      p.tenant_id nulls last, p.tier_from desc, p.effective_from desc, p.revision desc
  );
end;
$$;
comment on function spend_private.prices_in_force is
  'One price for each meter that the usage counts: of the product of this name first, then of the one whose alias it is; parts before their whole. p_is_bound: the usage is an upper bound; then also the prices of parts that it does not state, and that the provider decides on (meters.provider_decides). p_version: only rows of exactly this product that existed at this version of the price list; null: all rows.';

create function spend_private.bill(
  p_resource_type text,
  p_counts spend_private.usage_counts,
  p_prices spend_private.price_in_force[]
)
returns spend_private.priced_usage
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_price spend_private.price_in_force;
  v_highest spend_private.price_in_force; -- of the parts that the bound does not state
  v_whole text;
  v_billed_apart numeric;
  v_left jsonb := p_counts.units - 'requests'; -- Most providers charge nothing per call.
  v_priced spend_private.priced_usage := row(p_prices[1].product, 0, '{}', '{}', null, p_prices[1].product);
begin
  if p_prices = '{}' then
    return null;
  end if;
  foreach v_price in array p_prices loop
    exit when v_price.product <> v_priced.product;
    if v_whole is distinct from coalesce(v_price.part_of, v_price.meter) then
      v_whole := coalesce(v_price.part_of, v_price.meter);
      v_billed_apart := 0;
      v_highest := null;
    end if;

    if v_price.units is null then
      if v_highest.id is null or v_price.usd / v_price.unit_size > v_highest.usd / v_highest.unit_size then
        v_highest := v_price;
      end if;
      continue;
    end if;
    v_left := v_left - v_price.meter;
    if v_price.part_of is not null then
      v_billed_apart := v_billed_apart + v_price.units;
    else
      v_price.units := v_price.units - v_billed_apart;
      if v_highest.usd / v_highest.unit_size > v_price.usd / v_price.unit_size then
        v_price.id := v_highest.id;
        v_price.usd := v_highest.usd;
        v_price.unit_size := v_highest.unit_size;
      end if;
    end if;
    continue when v_price.units = 0;
    if v_price.units < 0 then
      perform spend_private.fail_usage(v_price.meter, 'is smaller than the sum of its parts');
    end if;
    -- Twenty decimals before the division, so that it cannot lose one of the twelve that are booked.
    v_priced.cost_usd := v_priced.cost_usd
      + round(v_price.units * v_price.usd, 20) / v_price.unit_size;
    v_priced.price_ids := v_priced.price_ids || v_price.id;
    v_priced.units := v_priced.units || v_price.units;
  end loop;

  if v_priced.cost_usd > 1e9 then
    -- No call costs that much, and a balance could not hold many that do.
    perform spend_private.fail_usage('usage', 'costs more than 1e9 USD');
  elsif v_left <> '{}' then
    v_priced.unpriced_meters := spend_private.unpriced_meters(p_resource_type, p_counts.units, v_left);
  end if;
  v_priced.cost_usd := round(v_priced.cost_usd, 12);
  return v_priced;
end;
$$;
comment on function spend_private.bill is
  'Adds up what usage costs at p_prices (prices_in_force), only those of the first product. A part that has a price is billed apart, and the rest of its whole at the whole''s price; in a bound, at the highest price of the whole and of the parts that it does not state. Null without prices.
Raises 22023 invalid_usage when a key is no meter, a meter counts less than its parts, or it all costs more than 1e9 USD.';

create function spend_private.unpriced_meters(p_resource_type text, p_units jsonb, p_left jsonb)
returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_unpriced text[];
  v_key text;
  v_meter spend.meters;
begin
  for v_key in select k.key from jsonb_object_keys(p_left) as k (key) loop
    select * into v_meter from spend.meters as m where m.resource_type = p_resource_type and m.meter = v_key;
    if not found then
      perform spend_private.fail_usage(v_key, 'is not a known key');
    elsif v_meter.part_of is null then
      -- What counts nothing needs no price: the output of an embedding.
      if (p_left ->> v_key)::numeric > 0 then
        v_unpriced := v_unpriced || v_key;
      end if;
    -- Billed in its whole, which must include it.
    elsif (p_units ->> v_meter.part_of)::numeric < (
      select sum((p_units ->> m.meter)::numeric)
      from spend.meters as m
      where m.resource_type = p_resource_type and m.part_of = v_meter.part_of
    ) then
      perform spend_private.fail_usage(v_meter.part_of, 'is smaller than the sum of its parts');
    end if;
  end loop;
  return v_unpriced;
end;
$$;
comment on function spend_private.unpriced_meters is
  'Of the counts p_left, which have no price of their own: the meters that are billed in no other either; null when there is none. Raises 22023 invalid_usage when a key is no meter, or a meter counts less than its parts.';
