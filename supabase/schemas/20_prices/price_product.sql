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
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_left jsonb := p_counts.units - 'requests'; -- Most providers charge nothing per call.
  v_product text;
  v_found text;
  v_meter text;
  v_part_of text;
  v_price_id bigint;
  v_unit_usd numeric;
  v_unit_size numeric;
  v_units numeric;
  v_last text;
  v_whole text;
  v_billed_apart numeric;
  v_dearest_id bigint;
  v_dearest_usd numeric;
  v_dearest_size numeric;
  v_cost_usd numeric := 0;
  v_price_ids bigint[] := '{}';
  v_billed numeric[] := '{}';
  v_unpriced text[];
begin
  for v_found, v_meter, v_part_of, v_units, v_price_id, v_unit_usd, v_unit_size in
    select p.product, p.meter, m.part_of, (p_counts.units ->> p.meter)::numeric, p.id, p.usd, p.unit_size
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
      p.product <> p_name,
      -- Parts before their whole.
      coalesce(m.part_of, m.meter), m.part_of is null, m.meter,
      -- What is in force, first. Each (meter, tier) is a series of its own in time; the highest tier that the call
      -- reaches wins.
      p.tenant_id nulls last, p.tier_from desc, p.effective_from desc, p.revision desc
  loop
    v_product := coalesce(v_product, v_found);
    exit when v_found <> v_product;
    continue when v_meter = v_last;
    v_last := v_meter;
    if v_whole is distinct from coalesce(v_part_of, v_meter) then
      v_whole := coalesce(v_part_of, v_meter);
      v_billed_apart := 0;
      v_dearest_id := null;
    end if;

    if v_part_of is null then
      v_units := v_units - v_billed_apart;
      if v_dearest_id is not null and v_dearest_usd / v_dearest_size > v_unit_usd / v_unit_size then
        v_price_id := v_dearest_id;
        v_unit_usd := v_dearest_usd;
        v_unit_size := v_dearest_size;
      end if;
    elsif v_units is not null then
      v_billed_apart := v_billed_apart + v_units;
    else
      if v_dearest_id is null or v_unit_usd / v_unit_size > v_dearest_usd / v_dearest_size then
        v_dearest_id := v_price_id;
        v_dearest_usd := v_unit_usd;
        v_dearest_size := v_unit_size;
      end if;
      continue;
    end if;

    v_left := v_left - v_meter;
    continue when v_units = 0;
    if v_units < 0 then
      perform spend_private.fail_usage(v_meter, 'is smaller than the sum of its parts');
    end if;
    -- Twenty decimals before the division, so that it cannot lose one of the twelve that are booked.
    v_cost_usd := v_cost_usd + (v_units * v_unit_usd)::numeric(60, 20) / v_unit_size;
    v_price_ids := v_price_ids || v_price_id;
    v_billed := v_billed || v_units;
  end loop;
  if v_product is null then
    return null;
  elsif v_cost_usd > 1e9 then
    -- No call does, and a balance could not hold many of them.
    perform spend_private.fail_usage('usage', 'costs more than 1e9 USD');
  elsif v_left <> '{}' then
    v_unpriced := spend_private.unpriced_meters(p_resource_type, p_counts.units, v_left);
  end if;
  return row(v_product, round(v_cost_usd, 12), v_price_ids, v_billed, v_unpriced, v_product);
end;
$$;
comment on function spend_private.price_product is
  'What usage costs at the prices in force at p_at of the product of this very name, or of that whose alias it is: the first that has a price for any of what is counted; null when none has. p_version, when given: by the rows of this very product alone, and of those that there were at this version of the price list. The sum of a bill, and its lines. A part that has a price of its own is billed apart, another in its whole.
p_is_bound: the usage is an upper bound, made before the call. A part that it states, 0 included, is known; what is left of the whole costs the dearest of the whole and of the other parts that the provider decides on (meters.provider_decides). The tier is that of the bound''s input.
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
