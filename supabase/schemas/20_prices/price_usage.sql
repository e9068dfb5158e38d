create function spend_private.price_usage(
  p_tenant_id uuid,
  p_resource_type text,
  p_counts spend_private.usage_counts,
  p_at timestamptz,
  p_is_bound boolean default false
)
returns spend_private.priced_usage
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_priced spend_private.priced_usage;
  v_name text;
begin
  -- Most names are exact or whole aliases.
  v_priced := spend_private.price_name(p_tenant_id, p_resource_type, p_counts, p_counts.name, p_at, p_is_bound);
  if v_priced.cost_usd is not null then
    return v_priced;
  end if;

  foreach v_name in array spend_private.other_names(p_counts.provider, p_counts.name) loop
    v_priced := spend_private.price_name(p_tenant_id, p_resource_type, p_counts, v_name, p_at, p_is_bound);
    if v_priced.product = '*' then
      return spend_private.price_any_product(p_tenant_id, p_resource_type, p_counts, v_priced, p_at, p_is_bound);
    elsif v_priced.cost_usd is not null then
      return v_priced;
    end if;
  end loop;
  -- No price: an unknown key is an error of its own.
  perform spend_private.unpriced_meters(p_resource_type, p_counts.units, p_counts.units - 'requests');
  return null;
end;
$$;
comment on function spend_private.price_usage is
  'Cost in USD, exact to 12 decimals, of usage at the prices in force at p_at for a tenant; null when the product has no price. The product is the first of these that has a price for any of what is counted: the exact name, the alias that equals it, other_names. p_is_bound and errors: as bill.';

create function spend_private.price_name(
  p_tenant_id uuid,
  p_resource_type text,
  p_counts spend_private.usage_counts,
  p_name text,
  p_at timestamptz,
  p_is_bound boolean
)
returns spend_private.priced_usage
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_priced spend_private.priced_usage := spend_private.price_product(
    p_tenant_id, p_resource_type, p_counts, p_name, p_at, p_is_bound
  );
  v_product text;
begin
  if v_priced.cost_usd is not null then
    return v_priced;
  end if;
  select a.product into v_product
  from spend.product_aliases as a
  where a.provider = p_counts.provider and a.match_kind = 'equals' and a.pattern = p_name;
  if not found then
    return null;
  end if;
  return spend_private.price_product(p_tenant_id, p_resource_type, p_counts, v_product, p_at, p_is_bound);
end;
$$;
comment on function spend_private.price_name is
  'price_product of the product of this name; where it has no price for what is counted, of the one that the name is a whole alias of (equals).';

create function spend_private.price_any_product(
  p_tenant_id uuid,
  p_resource_type text,
  p_counts spend_private.usage_counts,
  p_priced spend_private.priced_usage,
  p_at timestamptz,
  p_is_bound boolean
)
returns spend_private.priced_usage
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_product text := spend_private.plain_product(p_counts.provider, p_counts.name);
  v_priced spend_private.priced_usage;
begin
  -- 'GPT-4o' must not avoid the price of gpt-4o.
  if v_product <> p_counts.name then
    v_priced := spend_private.price_name(p_tenant_id, p_resource_type, p_counts, v_product, p_at, p_is_bound);
    if v_priced.cost_usd is not null then
      return v_priced;
    end if;
  end if;
  p_priced.product := v_product;
  return p_priced;
end;
$$;
comment on function spend_private.price_any_product is
  'What a ''*'' row prices (p_priced), under the one name that all spellings of the product have (plain_product); at the product''s own price where it has one under that name.';
