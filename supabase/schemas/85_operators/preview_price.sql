create function spend.preview_price(price_id bigint, usd numeric, units numeric default 1000)
returns table (
  before_usd numeric,
  after_usd numeric,
  times numeric,
  is_odd boolean
)
language plpgsql stable
-- Definer: who may is decided here; a negotiated price is not for everybody.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_price spend.prices;
  v_usd numeric := preview_price.usd;
  v_units numeric := preview_price.units;
begin
  perform spend_private.demand_operator();
  select p.* into v_price from spend.prices as p where p.id = preview_price.price_id;
  if not found then
    perform spend_private.fail(
      'PT404', 'unknown_price', jsonb_build_object('price_id', preview_price.price_id),
      'price_id: the id of a row of spend.prices.'
    );
  elsif v_usd is null or v_usd < 0 or v_usd in ('NaN', 'Infinity') then
    perform spend_private.fail(
      '22023', 'invalid_price', jsonb_build_object('field', 'usd', 'value', v_usd), 'usd: 0 (free) or more.'
    );
  elsif v_units is null or v_units < 0 or v_units in ('NaN', 'Infinity') then
    perform spend_private.fail_usage('units', 'is not a number of 0 or more');
  end if;
  return query
  select
    spend_private.cost_of_units(v_price, v_price.usd, v_units),
    spend_private.cost_of_units(v_price, v_usd, v_units),
    case when v_price.usd > 0 then v_usd / v_price.usd end,
    -- A slip of the decimal point, more often than a price.
    v_price.usd > 0 and (v_usd >= 10 * v_price.usd or 10 * v_usd <= v_price.usd);
end;
$$;
comment on function spend.preview_price is
  'What so many units of a price''s meter cost now (before_usd), and at usd per unit_size units instead (after_usd), billed as a call''s are; times: the new price divided by the old one (null: that is 0); is_odd: ten times the old one or more, or a tenth or less. Changes nothing: spend.add_price does.
For operators and service_role. Errors: PT403 not_an_operator, PT404 unknown_price, 22023 invalid_price (usd), invalid_usage (units).';
grant execute on function spend.preview_price to authenticated, service_role;

create function spend_private.cost_of_units(p_price spend.prices, p_usd numeric, p_units numeric)
returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (spend_private.bill(
    p_price.resource_type, jsonb_build_object(p_price.meter, p_units), 0, false, p_price.product, array[
      row(p_price.meter, null, true, 0, p_price.id, p_usd, p_price.unit_size, p_price.version)::spend_private.price_line
    ]
  )).cost_usd;
end;
$$;
comment on function spend_private.cost_of_units is
  'Cost of so many units of the price''s meter, at p_usd for its unit size.';
