create type spend_private.actual_cost as (
  cost_usd numeric,
  usage jsonb,
  price_ids bigint[],
  is_estimated boolean
);
comment on type spend_private.actual_cost is
  'What a call cost in USD, with its usage and prices. is_estimated: usage, or a price of it, is unknown.';

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
      p_reservation.estimated_cost_usd::numeric, p_reservation.usage_estimate, p_reservation.price_ids, true
    );
  end if;

  v_counts := spend_private.read_usage(p_reservation.resource_type, p_usage);
  -- Bill the product that was admitted: quotas and prices were chosen for it.
  v_counts.provider := p_reservation.provider;
  v_counts.name := p_reservation.product;
  if p_reservation.price_version is null then
    v_priced := spend_private.price_usage(
      p_reservation.tenant_id, p_reservation.resource_type, v_counts, p_reservation.created_at, p_is_bound
    );
  else
    v_priced := spend_private.price_product(
      p_reservation.tenant_id, p_reservation.resource_type, v_counts, p_reservation.priced_as,
      p_reservation.created_at, p_is_bound, p_reservation.price_version
    );
    if v_priced.cost_usd is null then
      -- Nothing of it has a price: is it a meter at all?
      perform spend_private.unpriced_meters(p_reservation.resource_type, v_counts.units, v_counts.units - 'requests');
    end if;
  end if;

  if v_counts.is_complete and v_priced.unpriced_meters is null and v_priced.cost_usd is not null then
    return row(v_priced.cost_usd, v_counts.usage, v_priced.price_ids, false);
  end if;
  -- Unknown usage is not zero: at least the estimate, or what is known where that is more.
  return row(
    greatest(v_priced.cost_usd, p_reservation.estimated_cost_usd), v_counts.usage,
    coalesce(v_priced.price_ids, p_reservation.price_ids), true
  );
end;
$$;
comment on function spend_private.actual_cost is
  'Prices the usage that a reservation is settled with, by the rows that priced the reservation (priced_as, price_version), which cannot change; in a copy of it without price_version, by all rows that now apply to its product at the time that it was made. p_is_bound: the usage is a bound (see bill). Raises 22023 invalid_usage.';
