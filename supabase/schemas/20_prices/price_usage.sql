create type spend_private.priced_usage as (
  product text,
  cost_usd numeric,
  price_ids bigint[],
  unpriced_meters text[]
);
comment on type spend_private.priced_usage is
  'What usage costs. product: the resolved name; unpriced_meters: counted, but without a price of their own or of the meter they are part of; not in cost_usd.';

create function spend_private.price_usage(
  p_tenant_id uuid,
  p_resource_type text,
  p_counts spend_private.usage_counts,
  p_at timestamptz
)
returns spend_private.priced_usage
language plpgsql stable
set search_path = ''
as $$
declare
  v_priced spend_private.priced_usage;
  v_product text;
  v_overcounted text;
begin
  v_product := spend_private.resolve_product(p_resource_type, p_counts.provider, p_counts.name, p_at);
  if v_product is null then
    return null;
  end if;
  -- A '*' row prices the product, but does not rename it.
  v_priced.product := case v_product when '*' then p_counts.name else v_product end;

  select
    round(coalesce(sum(l.usd), 0), 12),
    coalesce(array_agg(distinct l.price_id) filter (where l.price_id is not null), '{}'),
    -- Most providers charge nothing per call.
    array_agg(l.meter) filter (where l.price_id is null and l.meter <> 'requests'),
    min(l.meter) filter (where l.units < 0)
  into v_priced.cost_usd, v_priced.price_ids, v_priced.unpriced_meters, v_overcounted
  from spend_private.bill_lines(p_tenant_id, p_resource_type, p_counts, v_product, p_at) as l
  where l.units <> 0;
  if v_overcounted is not null then
    perform spend_private.fail_usage(v_overcounted, 'is smaller than the sum of its parts');
  end if;
  return v_priced;
end;
$$;
comment on function spend_private.price_usage is
  'Cost in USD, exact to 12 decimals, of usage at the prices in force at p_at for a tenant; null when the product has no price. Raises 22023 invalid_usage when a meter counts less than its parts.';
