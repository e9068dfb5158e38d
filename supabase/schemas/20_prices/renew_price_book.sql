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
declare
  v_change spend_private.price_change;
begin
  update spend_private.price_state as s set has_negotiated = true
  where not s.has_negotiated and exists (select from unnest(p_changes) as c where c.tenant_id is not null);
  foreach v_change in array p_changes loop
    delete from spend_private.price_book as b
    where b.provider = v_change.provider and b.product = v_change.product
      and b.tenant_id = coalesce(v_change.tenant_id, '00000000-0000-0000-0000-000000000000')
      and b.valid_from >= v_change.valid_from
      -- Not in, which is looked up in a hash: a product may have thousands of dated prices.
      and (b.resource_type, b.service_tier, b.valid_from) not in (
        select p.resource_type, p.service_tier, p.effective_from
        from spend_private.prices_of(v_change.provider, v_change.product, v_change.tenant_id) as p
      );

    insert into spend_private.price_book as b (
      provider, product, resource_type, service_tier, tenant_id, valid_from, version, lines
    )
    select
      r.provider, r.product, r.resource_type, r.service_tier, r.tenant_id, r.valid_from, r.version, r.lines
    from spend_private.right_price_book(
      v_change.provider, v_change.product, v_change.tenant_id, v_change.valid_from
    ) as r
    on conflict on constraint price_book_pkey do update set version = excluded.version, lines = excluded.lines
    where (b.version, b.lines) is distinct from (excluded.version, excluded.lines);
  end loop;
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
  with price as (
    select distinct on (p.resource_type, p.service_tier, p.meter, p.tier_from, p.effective_from) p.*
    from spend_private.prices_of(p_provider, p_product, p_tenant_id) as p
    order by p.resource_type, p.service_tier, p.meter, p.tier_from, p.effective_from, p.revision desc
  ),

  succession as (
    select
      p.*,
      lead(p.effective_from) over (
        partition by p.resource_type, p.service_tier, p.meter, p.tier_from order by p.effective_from
      ) as replaced_at
    from price as p
  ),

  -- What is in force at p_from or later. A row of the book begins wherever one of these does: they are counted.
  counted as (
    select s.*, dense_rank() over (partition by s.resource_type, s.service_tier order by s.effective_from) as first_row
    from succession as s
    where s.replaced_at is null or s.replaced_at > p_from
  ),

  -- From the row with which it begins until the one before its successor's.
  span as (
    select
      c.*,
      coalesce(
        lead(c.first_row) over (
          partition by c.resource_type, c.service_tier, c.meter, c.tier_from order by c.effective_from
        ) - 1,
        max(c.first_row) over (partition by c.resource_type, c.service_tier)
      ) as last_row
    from counted as c
  )

  select
    p_provider, p_product, s.resource_type, s.service_tier,
    coalesce(p_tenant_id, '00000000-0000-0000-0000-000000000000'), max(s.effective_from), max(s.version),
    array_agg(
      row(m.meter, m.part_of, m.provider_decides, s.tier_from, s.id, s.usd, s.unit_size, s.version)::spend_private.price_line
      -- As listed_prices.
      order by coalesce(m.part_of, m.meter), m.part_of is null, m.meter, s.tier_from desc
    )
  from span as s
  cross join lateral generate_series(s.first_row, s.last_row) as b (number)
  join spend.meters as m on m.resource_type = s.resource_type and m.meter = s.meter
  group by s.resource_type, s.service_tier, b.number
  having max(s.effective_from) >= p_from;
end;
$$;
comment on function spend_private.right_price_book is
  'What the price book should say from p_from on of a product''s general prices, or of those of a tenant: at each moment at which a price begins what listed_prices says, read once for all of them.';

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
