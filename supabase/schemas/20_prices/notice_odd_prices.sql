create function spend_private.notice_odd_prices()
returns trigger
language plpgsql
-- Definer: see notice_new_names.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_price record;
begin
  for v_price in
    select a.provider, a.product, a.meter, a.usd, a.unit_size, p.usd as other_usd, p.unit_size as other_unit_size
    from added as a
    cross join lateral (
      -- The price before it; for the first negotiated price or price of a service tier, what everybody pays.
      select o.usd, o.unit_size
      from spend.prices as o
      where o.provider = a.provider and o.product = a.product and o.resource_type = a.resource_type
        and o.meter = a.meter and o.tier_from = a.tier_from
        and (
          (o.service_tier = a.service_tier and o.tenant_id is not distinct from a.tenant_id)
          or (o.service_tier = 'standard' and o.tenant_id is null)
        )
        and (o.effective_from, o.revision) <= (a.effective_from, a.revision) and o.id <> a.id
      order by
        (o.service_tier = a.service_tier and o.tenant_id is not distinct from a.tenant_id) desc,
        o.effective_from desc, o.revision desc
      limit 1
    ) as p
    where spend_private.is_odd_price(a.usd, a.unit_size, p.usd, p.unit_size)
    order by a.id
    limit 20
  loop
    perform spend_private.notice_odd_price(
      v_price.provider, v_price.product, v_price.meter,
      v_price.usd, v_price.unit_size, v_price.other_usd, v_price.other_unit_size
    );
  end loop;
  return null;
end;
$$;
comment on function spend_private.notice_odd_prices is
  'Trigger: raises a notice for a new price that is a hundred times the one before it, or a hundredth.';

create trigger notice_odd_prices after insert on spend.prices
referencing new table as added
for each statement execute function spend_private.notice_odd_prices();

create function spend_private.notice_odd_change()
returns trigger
language plpgsql
-- Definer: see notice_new_names.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if spend_private.is_odd_price(new.usd, new.unit_size, old.usd, old.unit_size) then
    perform spend_private.notice_odd_price(
      new.provider, new.product, new.meter, new.usd, new.unit_size, old.usd, old.unit_size
    );
  end if;
  return null;
end;
$$;
comment on function spend_private.notice_odd_change is
  'Trigger: notice_odd_prices for a price that is changed.';

create trigger notice_odd_change after update of usd, unit_size on spend.prices
for each row execute function spend_private.notice_odd_change();

create function spend_private.is_odd_price(
  p_usd numeric,
  p_unit_size numeric,
  p_other_usd numeric,
  p_other_unit_size numeric
)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A price that was zero, or becomes zero, is not a wrong unit.
  return p_usd > 0 and p_other_usd > 0 and (
    p_usd * p_other_unit_size >= 100 * p_other_usd * p_unit_size
    or p_other_usd * p_unit_size >= 100 * p_usd * p_other_unit_size
  );
end;
$$;
comment on function spend_private.is_odd_price is
  'Whether one price is a hundred times another or more, or a hundredth or less.';

create function spend_private.notice_odd_price(
  p_provider text,
  p_product text,
  p_meter text,
  p_usd numeric,
  p_unit_size numeric,
  p_other_usd numeric,
  p_other_unit_size numeric
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  raise notice '%', format(
    '%s of "%s/%s" at $%s per %s are %s times what they were: $%s per %s.',
    p_meter, p_provider, p_product, trim_scale(p_usd), trim_scale(p_unit_size),
    trim_scale(round(p_usd * p_other_unit_size / (p_other_usd * p_unit_size), 6)),
    trim_scale(p_other_usd), trim_scale(p_other_unit_size)
  )
  using hint = 'Are usd and unit_size right? Before a call is priced by it, the row can be updated; after that, insert one with a higher revision and call spend.reprice.';
end;
$$;
comment on function spend_private.notice_odd_price is
  'Raises the notice of notice_odd_prices.';
