create function spend_private.plain_product(p_provider text, p_name text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_prefix text := lower(p_provider) || '/';
  v_name text := lower(btrim(p_name));
begin
  while starts_with(v_name, v_prefix) and v_name <> v_prefix loop
    v_name := substr(v_name, length(v_prefix) + 1);
  end loop;
  return coalesce(
    (
      select min(p.product) from spend.prices as p
      where p.provider = p_provider and lower(p.product) = v_name and p.product <> '*'
    ),
    (
      select a.product
      from spend.product_aliases as a
      where a.provider = p_provider and case a.match_kind
        when 'equals' then lower(a.pattern) = v_name
        when 'starts_with' then starts_with(v_name, lower(a.pattern))
        when 'ends_with' then right(v_name, length(a.pattern)) = lower(a.pattern)
        when 'contains' then strpos(v_name, lower(a.pattern)) > 0
        when 'regex' then v_name ~* a.pattern
      end
      order by
        array_position(array['equals', 'starts_with', 'ends_with', 'contains', 'regex'], a.match_kind),
        length(a.pattern) desc, a.pattern, a.product
      limit 1
    ),
    v_name
  );
end;
$$;
comment on function spend_private.plain_product is
  'One name for all spellings of a product that a provider''s ''*'' row prices: without ''provider/'', as the product or alias that equals it in any case, else in lower case. Quotas by product match it (resolve_quota_product).';

-- For plain_product.
create index prices_provider_lower_idx on spend.prices (provider, lower(product));
