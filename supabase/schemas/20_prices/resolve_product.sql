create function spend_private.resolve_product(
  p_tenant_id uuid,
  p_resource_type text,
  p_provider text,
  p_name text,
  p_at timestamptz
)
returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_product text;
begin
  if spend_private.is_priced(p_tenant_id, p_resource_type, p_provider, p_name, p_at) then
    return p_name;
  end if;

  if starts_with(p_name, p_provider || '/') then
    return spend_private.resolve_product(
      p_tenant_id, p_resource_type, p_provider, substr(p_name, length(p_provider) + 2), p_at
    );
  end if;

  -- Most aliases are whole names: one index probe, before the patterns are tried one by one.
  select a.product into v_product
  from spend.product_aliases as a
  where a.provider = p_provider and a.match_kind = 'equals' and a.pattern = p_name
    and spend_private.is_priced(p_tenant_id, p_resource_type, p_provider, a.product, p_at);
  if found then
    return v_product;
  end if;

  select a.product into v_product
  from spend.product_aliases as a
  where a.provider = p_provider
    and case a.match_kind
      when 'starts_with' then starts_with(p_name, a.pattern)
      when 'ends_with' then right(p_name, length(a.pattern)) = a.pattern
      when 'contains' then strpos(p_name, a.pattern) > 0
      when 'regex' then p_name ~ a.pattern
    end
    and spend_private.is_priced(p_tenant_id, p_resource_type, p_provider, a.product, p_at)
  order by
    array_position(array['starts_with', 'ends_with', 'contains', 'regex'], a.match_kind),
    length(a.pattern) desc, a.pattern, a.product
  limit 1;
  if found then
    return v_product;
  end if;

  if spend_private.is_priced(p_tenant_id, p_resource_type, p_provider, '*', p_at) then
    return '*';
  end if;
  return null;
end;
$$;
comment on function spend_private.resolve_product is
  'Product whose prices apply to a model or template name: the exact name, else without a leading ''provider/'', else the most specific alias, else the provider''s ''*'' row, else null. A price negotiated by another tenant makes no product.';
