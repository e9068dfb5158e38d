create function spend_private.tenant_key(p_tenant_id uuid)
returns integer
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return ('x' || pg_catalog.left(p_tenant_id::text, 8))::bit(32)::integer;
end;
$$;
comment on function spend_private.tenant_key is
  'First 32 bits of a tenant''s id. Not unique: compare the whole id after a look-up by it.';
grant execute on function spend_private.tenant_key to service_role;
