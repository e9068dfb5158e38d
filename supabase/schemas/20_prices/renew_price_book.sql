create type spend_private.price_change as (
  provider text,
  product text,
  tenant_id uuid,
  valid_from timestamptz
);
comment on type spend_private.price_change is
  'What of the price book is to be made again: a product''s general prices, or those of a tenant (tenant_id), from a moment on.';

create function spend_private.renew_price_book(p_changes spend_private.price_change[])
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  delete from spend_private.price_book as b
  using unnest(p_changes) as c
  where b.provider = c.provider and b.product = c.product
    and b.tenant_id = coalesce(c.tenant_id, '00000000-0000-0000-0000-000000000000') and b.valid_from >= c.valid_from
    and not exists (
      select from spend_private.prices_of(c.provider, c.product, c.tenant_id) as p
      where p.resource_type = b.resource_type and p.service_tier = b.service_tier and p.effective_from = b.valid_from
    );

  insert into spend_private.price_book as b (
    provider, product, resource_type, service_tier, tenant_id, valid_from, version, lines
  )
  select
    r.provider, r.product, r.resource_type, r.service_tier, r.tenant_id, r.valid_from, r.version, r.lines
  from unnest(p_changes) as c
  cross join lateral spend_private.right_price_book(c.provider, c.product, c.tenant_id, c.valid_from) as r
  on conflict on constraint price_book_pkey do update set version = excluded.version, lines = excluded.lines
  where (b.version, b.lines) is distinct from (excluded.version, excluded.lines);
end;
$$;
comment on function spend_private.renew_price_book is
  'Makes parts of the price book again, and writes what differs. The caller has changed spend.prices, and so has locked the version of the prices (raise_price_version): nobody else does the same. Only prices that are deleted with their tenant come without the lock, and then nobody else can change this tenant''s.';

create function spend_private.right_price_book(
  p_provider text,
  p_product text,
  p_tenant_id uuid,
  p_from timestamptz
)
returns setof spend_private.price_book
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return query
  select
    p_provider, p_product, m.resource_type, m.service_tier,
    coalesce(p_tenant_id, '00000000-0000-0000-0000-000000000000'), m.effective_from,
    (select max(u.version) from unnest(l.lines) as u), l.lines
  from (
    select distinct p.resource_type, p.service_tier, p.effective_from
    from spend_private.prices_of(p_provider, p_product, p_tenant_id) as p
    where p.effective_from >= p_from
  ) as m
  cross join lateral (
    select spend_private.listed_prices(
      p_provider, p_product, m.resource_type, m.service_tier, p_tenant_id, m.effective_from
    ) as lines
    offset 0
  ) as l;
end;
$$;
comment on function spend_private.right_price_book is
  'What the price book should say from p_from on of a product''s general prices, or of those of a tenant.';

create function spend_private.keep_price_book()
returns trigger
language plpgsql volatile
-- Definer: roles that may change prices have no right on the book.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.renew_price_book(array(
    select row(c.provider, c.product, c.tenant_id, min(c.effective_from))::spend_private.price_change
    from changed as c
    group by c.provider, c.product, c.tenant_id
    order by c.provider, c.product, c.tenant_id
  ));
  return null;
end;
$$;
comment on function spend_private.keep_price_book is
  'Trigger: writes into the price book what a statement has inserted into spend.prices, or deleted.';

create trigger keep_price_book after insert on spend.prices
referencing new table as changed
for each statement execute function spend_private.keep_price_book();
create trigger keep_price_book_after_delete after delete on spend.prices
referencing old table as changed
for each statement execute function spend_private.keep_price_book();

create function spend_private.keep_price_book_after_update()
returns trigger
language plpgsql volatile
-- Definer: see keep_price_book.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.renew_price_book(array(
    select row(c.provider, c.product, c.tenant_id, min(c.effective_from))::spend_private.price_change
    from (
      -- A changed row has another version (set_price_version); one that was marked as used, or got a note, has not.
      (select p.id, p.version, p.provider, p.product, p.tenant_id, p.effective_from from before as p
       except select p.id, p.version, p.provider, p.product, p.tenant_id, p.effective_from from after as p)
      union all
      (select p.id, p.version, p.provider, p.product, p.tenant_id, p.effective_from from after as p
       except select p.id, p.version, p.provider, p.product, p.tenant_id, p.effective_from from before as p)
    ) as c
    group by c.provider, c.product, c.tenant_id
    order by c.provider, c.product, c.tenant_id
  ));
  return null;
end;
$$;
comment on function spend_private.keep_price_book_after_update is
  'Trigger: writes into the price book what a statement has changed in spend.prices.';

create trigger keep_price_book_after_update after update on spend.prices
referencing old table as before new table as after
for each statement execute function spend_private.keep_price_book_after_update();

create function spend_private.empty_price_book()
returns trigger
language plpgsql volatile
-- Definer: see keep_price_book.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from spend_private.price_book;
  return null;
end;
$$;
comment on function spend_private.empty_price_book is
  'Trigger: a price list without rows has a book without rows.';

create trigger empty_price_book after truncate on spend.prices
for each statement execute function spend_private.empty_price_book();

create function spend_private.keep_price_book_of_meters()
returns trigger
language plpgsql volatile
-- Definer: see keep_price_book.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The rows stay those that they are: one whose tenant is being deleted is waited for, and must not come back.
  update spend_private.price_book as b set lines = r.lines
  from (
    select distinct p.provider, p.product, p.tenant_id
    from before as o
    join after as n on n.resource_type = o.resource_type and n.meter = o.meter
    join spend.prices as p on p.resource_type = n.resource_type and p.meter = n.meter
    where (n.part_of, n.provider_decides) is distinct from (o.part_of, o.provider_decides)
  ) as c
  cross join lateral spend_private.right_price_book(c.provider, c.product, c.tenant_id, '-infinity') as r
  where b.provider = r.provider and b.product = r.product and b.resource_type = r.resource_type
    and b.service_tier = r.service_tier and b.tenant_id = r.tenant_id and b.valid_from = r.valid_from
    and b.lines is distinct from r.lines;
  return null;
end;
$$;
comment on function spend_private.keep_price_book_of_meters is
  'Trigger: a price line says what its meter is part of, and who decides on it. A meter with prices keeps its name, and is not deleted.';

-- As for prices: one change at a time, and a transaction that cannot see it must not write the book (40001).
create trigger a_raise_price_version before update of resource_type, meter, part_of, provider_decides on spend.meters
for each statement execute function spend_private.raise_price_version();
create trigger keep_price_book_of_meters after update on spend.meters
referencing old table as before new table as after
for each statement execute function spend_private.keep_price_book_of_meters();
