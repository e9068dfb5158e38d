create function spend.newest_price_from()
returns timestamptz
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select max(p.effective_from) from spend.prices as p where p.effective_from <= now();
$$;
comment on function spend.newest_price_from() is
  'Since when the newest price is in force: the age of the price catalogue. Null: there are no prices. For a health check, by service_role.';
grant execute on function spend.newest_price_from to service_role;
