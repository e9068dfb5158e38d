create function spend_private.unmarked_prices(
  p_tenant_id uuid,
  p_resource_type text,
  p_provider text,
  p_product text,
  p_at timestamptz
)
returns bigint[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  -- Two searches, which skip the negotiated prices of other tenants, however many; by prices_unmarked_idx.
  return array(
    select p.id
    from spend.prices as p
    where array[p.provider, p.product] = array[p_provider, p_product] and p.tenant_id is null
      and p.effective_from <= p_at and p.first_used_at is null and p.resource_type = p_resource_type
    union all
    select p.id
    from spend.prices as p
    where array[p.provider, p.product] = array[p_provider, p_product] and p.tenant_id = p_tenant_id
      and p.effective_from <= p_at and p.first_used_at is null and p.resource_type = p_resource_type
  );
end;
$$;
comment on function spend_private.unmarked_prices is
  'Ids of the rows that may price a tenant''s call of a product at p_at and are not marked as used yet: all meters, tiers and service tiers, since a call may settle with others than its bound had.';

create function spend_private.mark_prices_used(
  p_tenant_id uuid,
  p_resource_type text,
  p_provider text,
  p_product text,
  p_at timestamptz
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.fix_prices(spend_private.unmarked_prices(
    p_tenant_id, p_resource_type, p_provider, p_product, p_at
  ));
end;
$$;
comment on function spend_private.mark_prices_used is
  'Marks unmarked_prices as used. Waits for transactions that change or delete one of them: the caller prices again.';

create function spend_private.fix_prices(p_price_ids bigint[])
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  -- In the order of ids, since two calls may fix the same rows.
  perform from spend.prices as p
  where p.id = any (p_price_ids) and p.first_used_at is null
  order by p.id for no key update;
  update spend.prices as p set first_used_at = now()
  where p.id = any (p_price_ids) and p.first_used_at is null;
end;
$$;
comment on function spend_private.fix_prices is
  'Marks price rows as used: from now on they cannot be changed (protect_used_prices).';
