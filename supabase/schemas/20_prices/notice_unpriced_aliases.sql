create function spend_private.notice_unpriced_aliases()
returns trigger
language plpgsql
-- Definer: see notice_new_names.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alias record;
begin
  for v_alias in
    select distinct a.provider, a.product
    from added as a
    where not exists (
      select from spend.prices as p where p.provider = a.provider and p.product in (a.product, '*')
    )
    order by a.provider, a.product
    limit 20
  loop
    raise notice 'An alias leads to "%/%", which has no price.', v_alias.provider, v_alias.product
    using hint = concat_ws(
      ' ', spend_private.suggested_product(v_alias.provider, v_alias.product),
      'Calls of the alias are refused (unpriced_product) until spend.prices has rows of that product.'
    );
  end loop;
  return null;
end;
$$;
comment on function spend_private.notice_unpriced_aliases is
  'Trigger: raises a notice for an alias of a product without a price.';

create trigger notice_unpriced_aliases after insert on spend.product_aliases
referencing new table as added
for each statement execute function spend_private.notice_unpriced_aliases();
create trigger notice_unpriced_aliases_after_update after update on spend.product_aliases
referencing new table as added
for each statement execute function spend_private.notice_unpriced_aliases();
