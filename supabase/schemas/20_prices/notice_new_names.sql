-- What is valid, but is more often a typo, is inserted with a NOTICE: a name that looks like an existing one, a price a
-- hundred times the one before. An import of correct prices raises none.

create function spend_private.notice_new_names()
returns trigger
language plpgsql
-- Definer: a role that may insert a price may lack the right to call what this calls.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_new record;
begin
  for v_new in
    with before as materialized (
      select distinct p.provider, p.product from spend.prices as p where p.id not in (select a.id from added as a)
    ),

    -- All products of a new provider are new: compare its own name only, in a row without a product.
    fresh as materialized (
      select distinct a.provider,
        case when a.provider in (select b.provider from before as b) then a.product end as product
      from added as a
      where (a.provider, a.product) not in (select b.provider, b.product from before as b)
    )

    select f.provider, f.product, l.look_alike
    from fresh as f
    cross join lateral (
      select case when f.product is null then b.provider else b.product end as look_alike
      from before as b
      where f.product is null or b.provider = f.provider
    ) as l
    -- More than 20 new names are an import, which nobody typed.
    where (select count(*) from fresh) <= 20 and spend_private.looks_like(coalesce(f.product, f.provider), l.look_alike)
    group by f.provider, f.product, l.look_alike
    order by f.provider, f.product, l.look_alike
    limit 20
  loop
    raise notice '%', case
      when v_new.product is null then format('Provider "%s" is new, and looks like "%s".', v_new.provider, v_new.look_alike)
      else format('Product "%s" of "%s" is new, and looks like "%s".', v_new.product, v_new.provider, v_new.look_alike)
    end
    using hint = 'If it is a typo, delete the rows and insert them again. Other names of a product go into spend.product_aliases.';
  end loop;
  return null;
end;
$$;
comment on function spend_private.notice_new_names is
  'Trigger: raises a notice for a provider or product without prices whose name looks like one with prices. The price is inserted all the same.';

create trigger notice_new_names after insert on spend.prices
referencing new table as added
for each statement execute function spend_private.notice_new_names();
