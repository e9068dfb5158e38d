create function spend.explain_cost(
  provider text,
  product text,
  usage jsonb,
  at timestamptz default now()
)
returns table (
  meter text,
  units numeric,
  usd numeric,
  unit_size numeric,
  amount_usd numeric,
  price_id bigint
)
language plpgsql stable
-- Definer: signed-in users may read the general prices, and this reads nothing else.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_resource_type text := case when explain_cost.usage ? 'seconds' then 'e2b' else 'llm' end;
  v_counts spend_private.usage_counts := spend_private.read_usage(
    v_resource_type,
    explain_cost.usage || jsonb_build_object(
      'provider', explain_cost.provider,
      case v_resource_type when 'e2b' then 'template' else 'model' end, explain_cost.product
    )
  );
  v_priced spend_private.priced_usage := spend_private.price_usage(
    null, v_resource_type, v_counts, explain_cost.at
  );
begin
  if v_priced.cost_usd is null then
    perform spend_private.fail_unpriced(v_resource_type, v_counts, null);
  end if;
  return query
  -- As price_product adds them up.
  select
    p.meter, l.units, p.usd, p.unit_size, round(round(l.units * p.usd, 20) / p.unit_size, 12), p.id
  from unnest(v_priced.price_ids, v_priced.units) as l (price_id, units)
  join spend.prices as p on p.id = l.price_id
  order by p.meter;
end;
$$;
comment on function spend.explain_cost is
  'What usage of a product costs at a moment, one line per meter. units: without those that are billed as a part of the meter; usd per unit_size units, from price row price_id (null: no price, the meter is not billed); amount_usd: before the sum is rounded. General prices, no negotiated ones.
Errors: 22023 invalid_usage, PT422 unpriced_product. For everybody who is signed in.';
grant execute on function spend.explain_cost to authenticated, service_role;
