create function spend_private.mark_prices_used(p_price_ids bigint[])
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from spend.prices as p where p.id = any (p_price_ids) and p.first_used_at is null
  ) then
    return false;
  end if;
  -- In the order of ids, since two calls may mark the same rows.
  perform from spend.prices as p
  where p.id = any (p_price_ids) and p.first_used_at is null
  order by p.id for no key update;
  update spend.prices as p set first_used_at = now()
  where p.id = any (p_price_ids) and p.first_used_at is null;
  return true;
end;
$$;
comment on function spend_private.mark_prices_used is
  'Fixes price rows before they are used for the first time. True when a row was fixed now, so that the caller prices again: it may have been changed a moment before.';
