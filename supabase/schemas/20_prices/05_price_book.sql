create type spend_private.price_line as (
  meter text,
  part_of text,
  provider_decides boolean,
  tier_from bigint,
  price_id bigint,
  usd numeric,
  unit_size numeric,
  version bigint
);
comment on type spend_private.price_line is
  'Price of a meter of a product: usd per unit_size units, from row price_id of spend.prices, which has this version. part_of: the meter whose count includes this one; provider_decides: see spend.meters. tier_from: for calls with more input tokens than this.';

create table spend_private.price_book (
  provider text not null,
  product text not null,
  resource_type text not null,
  service_tier text not null,
  tenant_id uuid not null,
  valid_from timestamptz not null,
  version bigint not null,
  lines spend_private.price_line[] not null,
  primary key (provider, product, tenant_id, resource_type, service_tier, valid_from)
);
comment on table spend_private.price_book is
  'What spend.prices says, as calls read it: one row has all prices of a product and service tier from a moment until that of the next row (spend_private.listed_prices). tenant_id: whose negotiated prices; zeros: the general ones. version: the greatest of its lines; a call of an older version of the price list was not priced by it. Kept by triggers on spend.prices and spend.meters; spend_private.rebuild_price_book makes it again.';
alter table spend_private.price_book enable row level security;

create function spend_private.prices_of(p_provider text, p_product text, p_tenant_id uuid)
returns setof spend.prices
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  -- Two searches: one index finds both, whatever other tenants have negotiated.
  if p_tenant_id is null then
    return query
    select * from spend.prices as p
    where p.provider = p_provider and p.product = p_product and p.tenant_id is null;
  else
    return query
    select * from spend.prices as p
    where p.provider = p_provider and p.product = p_product and p.tenant_id = p_tenant_id;
  end if;
end;
$$;
comment on function spend_private.prices_of is
  'Rows of exactly this product: what a tenant negotiated; null: what is for everybody.';

create function spend_private.listed_prices(
  p_provider text,
  p_product text,
  p_resource_type text,
  p_service_tier text,
  p_tenant_id uuid,
  p_at timestamptz,
  p_version bigint default null
)
returns spend_private.price_line[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return array(
    select row(m.meter, m.part_of, m.provider_decides, n.tier_from, n.id, n.usd, n.unit_size, n.version)::spend_private.price_line
    from (
      select distinct on (p.meter, p.tier_from) p.*
      from spend_private.prices_of(p_provider, p_product, p_tenant_id) as p
      where p.resource_type = p_resource_type and p.service_tier = p_service_tier and p.effective_from <= p_at
        and (p_version is null or p.version <= p_version)
      order by p.meter, p.tier_from, p.effective_from desc, p.revision desc
    ) as n
    join spend.meters as m on m.resource_type = p_resource_type and m.meter = n.meter
    -- Parts before their whole, and the highest tier first: the first that a call reaches is in force.
    order by coalesce(m.part_of, m.meter), m.part_of is null, m.meter, n.tier_from desc
  );
end;
$$;
comment on function spend_private.listed_prices is
  'The prices of exactly this product at p_at, from spend.prices itself: for each meter and tier the newest row, in the order of billing. p_tenant_id: only what this tenant negotiated; null: only what is for everybody. p_version: only rows that existed at this version of the price list; null: all.';

create function spend_private.merge_lines(p_own spend_private.price_line[], p_general spend_private.price_line[])
returns spend_private.price_line[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return array(
    select row(
      l.meter, l.part_of, l.provider_decides, l.tier_from, l.price_id, l.usd, l.unit_size, l.version
    )::spend_private.price_line
    from unnest(p_own || p_general) with ordinality as l (
      meter, part_of, provider_decides, tier_from, price_id, usd, unit_size, version, place
    )
    order by coalesce(l.part_of, l.meter), l.part_of is null, l.meter, l.place
  );
end;
$$;
comment on function spend_private.merge_lines is
  'A tenant''s own prices and the general ones in the order of billing: of one meter, its own come first.';

create function spend_private.prices_in_force(
  p_tenant_id uuid,
  p_resource_type text,
  p_provider text,
  p_product text,
  p_service_tier text,
  p_at timestamptz,
  p_version bigint
)
returns spend_private.price_line[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_lines spend_private.price_line[];
  v_version bigint;
  v_has_negotiated boolean;
  v_own_lines spend_private.price_line[];
  v_own_version bigint;
begin
  select g.lines, g.version, s.has_negotiated into v_lines, v_version, v_has_negotiated
  from spend_private.price_state as s
  left join lateral (
    select b.lines, b.version
    from spend_private.price_book as b
    where b.provider = p_provider and b.product = p_product and b.resource_type = p_resource_type
      and b.service_tier = p_service_tier and b.tenant_id = '00000000-0000-0000-0000-000000000000'
      and b.valid_from <= p_at
    order by b.valid_from desc limit 1
  ) as g on true
  where s.is_only_row;
  if v_has_negotiated then
    select b.lines, b.version into v_own_lines, v_own_version
    from spend_private.price_book as b
    where b.provider = p_provider and b.product = p_product and b.resource_type = p_resource_type
      and b.service_tier = p_service_tier and b.tenant_id = p_tenant_id and b.valid_from <= p_at
    order by b.valid_from desc limit 1;
  end if;

  -- Prices that came after the call, though dated before it; or a statement that began before there was a book.
  if v_version > p_version or v_own_version > p_version or (
    v_lines is null and v_own_lines is null and spend_private.has_prices(p_provider, p_product)
  ) then
    v_lines := spend_private.listed_prices(
      p_provider, p_product, p_resource_type, p_service_tier, null, p_at, p_version
    );
    if p_tenant_id is not null then
      v_own_lines := spend_private.listed_prices(
        p_provider, p_product, p_resource_type, p_service_tier, p_tenant_id, p_at, p_version
      );
    end if;
  end if;
  if v_own_lines is not null then
    return spend_private.merge_lines(v_own_lines, v_lines);
  end if;
  return v_lines;
end;
$$;
comment on function spend_private.prices_in_force is
  'Prices of exactly this product for a tenant at p_at, in the order of billing (price_book); null or empty when there are none. p_version: as they were at this version of the price list; null: as they are.';

create function spend_private.has_prices(p_provider text, p_product text)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return exists (select from spend.prices as p where p.provider = p_provider and p.product = p_product);
end;
$$;
comment on function spend_private.has_prices is
  'Whether a product has a row of spend.prices, of whatever tier, tenant or time.';
