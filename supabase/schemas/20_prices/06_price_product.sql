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
as $$
begin
  return spend_private.bill(
    p_resource_type, p_counts.units, p_counts.total_input, p_is_bound, p_name, spend_private.prices_in_force(
      p_tenant_id, p_resource_type, p_counts.provider, p_name, p_counts.service_tier, p_at, p_version
    )
  );
end;
$$;
comment on function spend_private.price_product is
  'Cost of usage at the prices in force at p_at for the product of exactly this name; null when it has no price for any of what is counted. p_version: see prices_in_force; p_is_bound and errors: as bill.';

create function spend_private.bill(
  p_resource_type text,
  p_units jsonb,
  p_total_input bigint,
  p_is_bound boolean,
  p_product text,
  p_lines spend_private.price_line[]
)
returns spend_private.priced_usage
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_line spend_private.price_line;
  v_highest spend_private.price_line; -- of the parts that the bound does not state
  v_meter text;
  v_whole text;
  v_units numeric;
  v_billed_apart numeric;
  v_left jsonb := p_units - 'requests'; -- Most providers charge nothing per call.
  v_cost_usd numeric := 0;
  v_price_ids bigint[] := '{}';
  v_billed_units numeric[] := '{}';
  v_unpriced_meters text[];
begin
  foreach v_line in array coalesce(p_lines, '{}') loop
    v_units := (p_units ->> v_line.meter)::numeric;
    continue when v_line.meter = v_meter -- Of a meter the first that the call reaches is in force.
      or (v_line.tier_from > 0 and v_line.tier_from >= p_total_input)
      or (v_units is null and not (p_is_bound and v_line.provider_decides and v_line.part_of is not null));
    v_meter := v_line.meter;

    if v_line.part_of is not null then
      if v_whole is distinct from v_line.part_of then
        v_whole := v_line.part_of;
        v_billed_apart := 0;
        v_highest := null;
      end if;
      if v_units is null then
        if v_highest.price_id is null or v_line.usd / v_line.unit_size > v_highest.usd / v_highest.unit_size then
          v_highest := v_line;
        end if;
        continue;
      end if;
      v_billed_apart := v_billed_apart + v_units;
    elsif v_meter = v_whole then
      v_units := v_units - v_billed_apart;
      if v_highest.usd / v_highest.unit_size > v_line.usd / v_line.unit_size then
        v_line := v_highest;
      end if;
    end if;
    v_left := v_left - v_meter;
    if v_units <= 0 then
      continue when v_units = 0;
      perform spend_private.fail_usage(v_meter, 'is smaller than the sum of its parts');
    end if;
    -- Twenty decimals before the division, so that it cannot lose one of the twelve that are booked.
    v_cost_usd := v_cost_usd + round(v_units * v_line.usd, 20) / v_line.unit_size;
    v_price_ids := v_price_ids || v_line.price_id;
    v_billed_units := v_billed_units || v_units;
  end loop;

  if v_meter is null then
    return null;
  elsif v_cost_usd > 1e9 then
    -- No call costs that much, and a balance could not hold many that do.
    perform spend_private.fail_usage('usage', 'costs more than 1e9 USD');
  elsif v_left <> '{}' then
    v_unpriced_meters := spend_private.unpriced_meters(p_resource_type, p_units, v_left);
  end if;
  return row(p_product, round(v_cost_usd, 12), v_price_ids, v_billed_units, v_unpriced_meters, p_product);
end;
$$;
comment on function spend_private.bill is
  'Adds up what usage costs by the lines of a product (prices_in_force). A part that has a price is billed apart, and the rest of its whole at the whole''s price. p_is_bound: the usage is an upper bound; then the rest costs the highest price of the whole and of the parts that the bound does not state and that the provider decides on (meters.provider_decides). Null when no line is for any of what is counted.
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
