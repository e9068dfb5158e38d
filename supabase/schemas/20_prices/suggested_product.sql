create function spend_private.suggested_product(p_provider text, p_product text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_names text;
begin
  if not exists (select from spend.prices as p where p.provider = p_provider) then
    select string_agg(format('"%s"', n.provider), ' or ' order by n.provider) into v_names
    from (select distinct p.provider from spend.prices as p) as n
    where spend_private.looks_like(p_provider, n.provider);
  elsif not exists (select from spend.prices as p where p.provider = p_provider and p.product = p_product) then
    select string_agg(format('"%s"', n.product), ' or ' order by n.product) into v_names
    from (select distinct p.product from spend.prices as p where p.provider = p_provider) as n
    where spend_private.looks_like(p_product, n.product);
  end if;
  return 'Did you mean ' || v_names || '?';
end;
$$;
comment on function spend_private.suggested_product is
  'Suggests priced providers, or products of one, whose names are close to one without a price ("Did you mean …?"); null when none is.';
