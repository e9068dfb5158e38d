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
      from (
        select 1 as place, e.usd, e.unit_size from spend_private.price_before(a, a.service_tier, a.tenant_id) as e
        union all
        select 2, e.usd, e.unit_size from spend_private.price_before(a, 'standard', null) as e
      ) as o
      order by o.place
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

create function spend_private.price_before(p_price spend.prices, p_service_tier text, p_tenant_id uuid)
returns setof spend.prices
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
set enable_bitmapscan = 'off'
as $$
begin
  -- Both searches read the one row, from the index of one_price_per_moment: a product may have thousands.
  if p_tenant_id is null then
    return query
    select * from spend.prices as p
    where p.provider = p_price.provider and p.product = p_price.product and p.resource_type = p_price.resource_type
      and p.meter = p_price.meter and p.tier_from = p_price.tier_from and p.service_tier = p_service_tier
      and p.tenant_id is null and (p.effective_from, p.revision) <= (p_price.effective_from, p_price.revision)
      and p.id <> p_price.id
    -- Null in all of them: so that the index has the order.
    order by p.tenant_id desc, p.effective_from desc, p.revision desc
    limit 1;
  else
    return query
    select * from spend.prices as p
    where p.provider = p_price.provider and p.product = p_price.product and p.resource_type = p_price.resource_type
      and p.meter = p_price.meter and p.tier_from = p_price.tier_from and p.service_tier = p_service_tier
      and p.tenant_id = p_tenant_id and (p.effective_from, p.revision) <= (p_price.effective_from, p_price.revision)
      and p.id <> p_price.id
    order by p.effective_from desc, p.revision desc
    limit 1;
  end if;
end;
$$;
comment on function spend_private.price_before is
  'The newest other price, not after p_price, of the same meter and tier of the product: of this service tier, negotiated by a tenant or (null) for everybody.';

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
