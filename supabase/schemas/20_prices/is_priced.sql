create function spend_private.is_priced(
  p_tenant_id uuid,
  p_resource_type text,
  p_provider text,
  p_product text,
  p_at timestamptz
)
returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return exists (
    select from spend.prices as p
    where p.provider = p_provider and p.product = p_product
      and p.resource_type = p_resource_type and p.effective_from <= p_at
      and (p.tenant_id is null or p.tenant_id = p_tenant_id)
  );
end;
$$;
comment on function spend_private.is_priced is
  'Whether a product has a price in force at p_at, for everybody or for this tenant (null: for everybody).';
