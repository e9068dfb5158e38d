create type spend_private.actual_cost as (
  cost_usd numeric,
  usage jsonb,
  price_ids bigint[],
  is_estimated boolean
);
comment on type spend_private.actual_cost is
  'What a call cost, in USD, and by what: usage and prices. is_estimated: usage or a price of it is not known.';

create function spend_private.actual_cost(
  p_reservation spend.reservations,
  p_usage jsonb,
  p_is_bound boolean default false
)
returns spend_private.actual_cost
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_counts spend_private.usage_counts;
  v_priced spend_private.priced_usage;
begin
  if p_usage is null or jsonb_typeof(p_usage) = 'null' then
    return row(
      p_reservation.estimated_cost_usd, p_reservation.usage_estimate, p_reservation.price_ids, true
    );
  end if;

  v_counts := spend_private.read_usage(p_reservation.resource_type, p_usage);
  -- The product that was admitted is the product that is billed: quotas and prices were chosen for it.
  v_counts.provider := p_reservation.provider;
  v_counts.name := p_reservation.product;
  v_priced := spend_private.price_usage(
    p_reservation.tenant_id, p_reservation.resource_type, v_counts, p_reservation.created_at,
    p_is_bound
  );

  if v_counts.is_complete and v_priced.unpriced_meters is null and v_priced.cost_usd is not null then
    return row(v_priced.cost_usd, p_usage, v_priced.price_ids, false);
  end if;
  -- Unknown usage is not zero: at least the estimate, or what is known where that is more.
  return row(
    greatest(v_priced.cost_usd, p_reservation.estimated_cost_usd), p_usage,
    coalesce(v_priced.price_ids, p_reservation.price_ids), true
  );
end;
$$;
comment on function spend_private.actual_cost is
  'Prices the usage that a reservation is settled with, at the prices in force when it was made. p_is_bound: it is an upper bound of that (price_product). Raises 22023 invalid_usage.';

create function spend_private.actual_cost_at_fixed_prices(
  p_reservation spend.reservations,
  p_usage jsonb,
  p_is_bound boolean default false
)
returns spend_private.actual_cost
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_actual spend_private.actual_cost := spend_private.actual_cost(p_reservation, p_usage, p_is_bound);
begin
  -- Usage may have meters, and so prices, that the estimate had not: those of the estimate are fixed already.
  if not v_actual.price_ids <@ p_reservation.price_ids and spend_private.mark_prices_used(v_actual.price_ids) then
    return spend_private.actual_cost(p_reservation, p_usage, p_is_bound);
  end if;
  return v_actual;
end;
$$;
comment on function spend_private.actual_cost_at_fixed_prices is
  'actual_cost, and the prices that it used are fixed from now on.';
