create function spend_private.other_names(p_provider text, p_name text)
returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  -- 'openai/gpt-4o' is 'gpt-4o' of openai.
  v_name text := case when starts_with(p_name, p_provider || '/') then substr(p_name, length(p_provider) + 2) else p_name end;
begin
  return v_name || array(
    select a.product
    from spend.product_aliases as a
    where a.provider = p_provider
      and case a.match_kind
        when 'starts_with' then starts_with(v_name, a.pattern)
        when 'ends_with' then right(v_name, length(a.pattern)) = a.pattern
        when 'contains' then strpos(v_name, a.pattern) > 0
        when 'regex' then v_name ~ a.pattern
      end
    order by
      array_position(array['starts_with', 'ends_with', 'contains', 'regex'], a.match_kind),
      length(a.pattern) desc, a.pattern, a.product
  ) || '*'::text;
end;
$$;
comment on function spend_private.other_names is
  'Names whose prices may apply to a model or template that has none by its own, in their order: without a leading ''provider/'', then as the patterns of product_aliases say, the most specific first, at last the provider''s ''*''.';
