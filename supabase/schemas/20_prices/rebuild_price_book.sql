create function spend_private.rebuild_price_book(p_provider text default null, p_product text default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.lock_price_version();
  perform spend_private.renew_price_book(array(
    select row(k.provider, k.product, k.tenant_id, '-infinity')::spend_private.price_change
    from (
      select p.provider, p.product, p.tenant_id from spend.prices as p
      where (p_provider is null or p.provider = p_provider) and (p_product is null or p.product = p_product)
      union
      select b.provider, b.product, nullif(b.tenant_id, '00000000-0000-0000-0000-000000000000')
      from spend_private.price_book as b
      where (p_provider is null or b.provider = p_provider) and (p_product is null or b.product = p_product)
    ) as k
    order by k.provider, k.product, k.tenant_id
  ));
end;
$$;
comment on function spend_private.rebuild_price_book is
  'Makes the price book again from spend.prices: of a product, of a provider, or (null, null) all of it. Waits for transactions that change prices; calls go on meanwhile.';

create function spend_private.wrong_price_book(p_provider text, p_product text)
returns setof spend_private.price_book
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
begin
  return query
  with stored as (
    select * from spend_private.price_book as b where b.provider = p_provider and b.product = p_product
  ),

  wanted as (
    select r.*
    from (
      select distinct p.tenant_id from spend.prices as p where p.provider = p_provider and p.product = p_product
    ) as t
    cross join lateral spend_private.right_price_book(p_provider, p_product, t.tenant_id, '-infinity') as r
  )

  (table stored except table wanted)
  union all
  (table wanted except table stored);
end;
$$;
comment on function spend_private.wrong_price_book is
  'Rows of the price book of a product that differ from spend.prices: as they are, and as they should be. One statement, one snapshot.';

create function spend_private.verify_price_book(
  p_max_products integer,
  p_now timestamptz default now(),
  p_until timestamptz default 'infinity'
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_provider text;
  v_product text;
  v_is_end boolean := true;
begin
  select coalesce(s.after_provider, ''), coalesce(s.after_product, '') into v_provider, v_product
  from spend_private.verification_state as s;
  for v_provider, v_product, v_is_end in
    select k.provider, k.product, row_number() over (order by k.provider, k.product) < p_max_products
    from (
      (
        select distinct p.provider, p.product from spend.prices as p
        where (p.provider, p.product) > (v_provider, v_product)
        order by p.provider, p.product limit p_max_products
      )
      union
      (
        select distinct b.provider, b.product from spend_private.price_book as b
        where (b.provider, b.product) > (v_provider, v_product)
        order by b.provider, b.product limit p_max_products
      )
    ) as k
    order by k.provider, k.product limit p_max_products
  loop
    if exists (select from spend_private.wrong_price_book(v_provider, v_product)) or exists (
      select from spend_private.price_state as s
      where not s.has_negotiated and exists (
        select from spend_private.price_book as b
        where b.provider = v_provider and b.product = v_product and b.tenant_id <> '00000000-0000-0000-0000-000000000000'
      )
    ) then
      -- The job's transaction may have recorded alerts that others wait for: it waits for nobody. The next round does it.
      perform from spend_private.price_state for no key update skip locked;
      if found then
        perform spend_private.record_problem(
          'verify', format('prices %s/%s', v_provider, v_product),
          'the price book differed from spend.prices, and was made again',
          jsonb_build_object('provider', v_provider, 'product', v_product), p_now
        );
        perform spend_private.rebuild_price_book(v_provider, v_product);
      end if;
    end if;
    if clock_timestamp() > p_until then
      v_is_end := false;
      exit;
    end if;
  end loop;
  update spend_private.verification_state as s set
    after_provider = case when not v_is_end then v_provider end,
    after_product = case when not v_is_end then v_product end;
end;
$$;
comment on function spend_private.verify_price_book is
  'Compares the price book of the next products with spend.prices, no further than p_until. Where triggers were disabled, a book may differ, or price_state not know of a tenant''s own prices: that is a problem of job verify, with an alert, and the book is made again.';
