-- What may well be meant, and more often is a slip, is done, and gets a NOTICE: a name that looks like one that is there,
-- a price a hundred times its predecessor. An import of right prices says nothing.

create function spend_private.notice_new_names()
returns trigger
language plpgsql
-- Definer: whoever may insert a price need not be able to call what this calls.
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

    -- Of a new provider all products are new: it alone is looked at, as the row without a product.
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
    -- New names are typed one at a time, or come with an import of many, whom nobody typed.
    where (select count(*) from fresh) <= 20 and spend_private.looks_like(coalesce(f.product, f.provider), l.look_alike)
    group by f.provider, f.product, l.look_alike
    order by f.provider, f.product, l.look_alike
    limit 20
  loop
    raise notice '%', case
      when v_new.product is null then format('Provider "%s" is new, and looks like "%s".', v_new.provider, v_new.look_alike)
      else format('Product "%s" of "%s" is new, and looks like "%s".', v_new.product, v_new.provider, v_new.look_alike)
    end
    using hint = 'If it is a slip, delete the rows and insert them anew. Another name of a product belongs into spend.product_aliases.';
  end loop;
  return null;
end;
$$;
comment on function spend_private.notice_new_names is
  'Trigger: a provider, or a product of one, that has no price yet and whose name looks like one that has gets a notice. The price is inserted all the same.';

create trigger notice_new_names after insert on spend.prices
referencing new table as added
for each statement execute function spend_private.notice_new_names();
