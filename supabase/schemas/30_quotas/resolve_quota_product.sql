create function spend_private.resolve_quota_product()
returns trigger
language plpgsql
-- Definer: a role that may write quotas may lack the right to read the prices.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_resource_type text;
  v_products text[];
begin
  if tg_op = 'UPDATE' and new.product = old.product and new.resource_type = old.resource_type then
    return new;
  end if;
  foreach v_resource_type in array case new.resource_type
    when 'all' then array['llm', 'e2b'] else array[new.resource_type]
  end loop
    v_products := spend_private.quota_products(new.product, v_resource_type, new.tenant_id);
    -- Models go first: where '*' prices all sandboxes, any name is one of a sandbox.
    exit when v_products <> '{}';
  end loop;
  if cardinality(v_products) = 1 then
    new.product := v_products[1];
    return new;
  end if;
  perform spend_private.fail(
    '22023', 'invalid_quota',
    jsonb_build_object('field', 'product', 'product', new.product, 'products', v_products),
    case cardinality(v_products)
      when 0 then 'No call would count in this quota: spend.prices has no such product. Use a product that has a price, or insert its price first.'
      else 'Several products have this name. Use one of them: as ''provider/product'', or by its own name where it has one.'
    end
  );
end;
$$;
comment on function spend_private.resolve_quota_product is
  'Trigger: stores the product''s name as its calls have it (spend.reservations.product), also when it was written as an alias, with ''provider/'' in front or in another case. Raises 22023 invalid_quota (product) for a name of no product, or of several.';

create function spend_private.quota_products(p_name text, p_resource_type text, p_tenant_id uuid)
returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text := btrim(p_name);
  v_products text[];
begin
  -- '*' is the name of prices, not of a product.
  if v_name in ('', '*') or v_name like '%/' or v_name like '%/*' then
    return '{}';
  end if;

  -- 'openai/gpt-4o' is gpt-4o of openai, and the name of a product of those who sell what others make.
  v_products := array(
    select distinct o.product
    from (
      select distinct p.provider from spend.prices as p
      where strpos(v_name, '/') > 1 and lower(p.provider) = lower(split_part(v_name, '/', 1))
    ) as v
    cross join lateral spend_private.provider_product(
      v.provider, substr(v_name, strpos(v_name, '/') + 1), p_resource_type, p_tenant_id
    ) as o
  );
  if spend_private.is_priced(null, v_name, p_resource_type, p_tenant_id) then
    return array(select distinct o.product from unnest(v_products || v_name) as o (product));
  elsif v_products <> '{}' then
    return v_products;
  end if;
  with meant as (
    select o.product, o.is_named
    from (select distinct p.provider from spend.prices as p where p.resource_type = p_resource_type) as v
    cross join lateral spend_private.provider_product(v.provider, v_name, p_resource_type, p_tenant_id) as o
  )

  -- A product of that name comes before '*' and patterns, which match any name.
  select coalesce(array_agg(distinct m.product), '{}') into v_products
  from meant as m
  where m.is_named or not exists (select from meant as n where n.is_named);
  -- For a quota of all tenants, a name that one tenant negotiated prices for is a product too.
  if p_tenant_id is null and exists (
    select from spend.prices as p where p.product = v_name and p.resource_type = p_resource_type
  ) then
    v_products := array(select distinct o.product from unnest(v_products || v_name) as o (product));
  end if;
  return v_products;
end;
$$;
comment on function spend_private.quota_products is
  'The products of a resource type that a quota''s product may name: the product of exactly this name, and the product of the provider in front of it; else the products that any provider has by this name.';

create function spend_private.provider_product(
  p_provider text,
  p_name text,
  p_resource_type text,
  p_tenant_id uuid
)
returns table (product text, is_named boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_names text[] := p_name || array(
    select a.product
    from spend.product_aliases as a
    where a.provider = p_provider and a.match_kind = 'equals' and a.pattern = p_name
    order by a.product
  );
  v_plain text := spend_private.plain_product(p_provider, p_name);
  v_name text;
begin
  -- As price_usage looks for it, and then in any case.
  foreach v_name in array v_names || spend_private.other_names(p_provider, p_name) || v_plain loop
    if v_name <> '*' and spend_private.is_priced(p_provider, v_name, p_resource_type, p_tenant_id) then
      return query select v_name, v_name = any (v_names) or lower(v_name) = lower(p_name);
      return;
    end if;
  end loop;
  if spend_private.is_priced(p_provider, '*', p_resource_type, p_tenant_id) then
    return query select v_plain, false;
  end if;
end;
$$;
comment on function spend_private.provider_product is
  'The product that a provider''s calls by this name are priced as; no row without a price. is_named: by its name, in any case, or an alias that equals it, not by a pattern or ''*''.';

create function spend_private.is_priced(
  p_provider text,
  p_product text,
  p_resource_type text,
  p_tenant_id uuid
)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from spend.prices as p
    where p.product = p_product
      and (p_provider is null or p.provider = p_provider)
      and p.resource_type = p_resource_type
      and (p.tenant_id is null or p.tenant_id = p_tenant_id)
  );
end;
$$;
comment on function spend_private.is_priced is
  'Whether a product has a price, of any meter and from any day on, for the tenant (null: for everybody); p_provider null: of any provider.';

-- The name decides the order: before complete_quota, and so before the triggers that read the subject.
create trigger a_resolve_quota_product before insert or update of product, resource_type on spend.cost_quotas
for each row when (new.product is not null)
execute function spend_private.resolve_quota_product();
