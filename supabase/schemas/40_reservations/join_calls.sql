create function spend_private.try_join_calls(p_tenant_key integer)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return pg_try_advisory_xact_lock_shared(1936746862, p_tenant_key);
end;
$$;
comment on function spend_private.try_join_calls is
  'Takes the shared lock of a tenant''s calls until the transaction ends, unless the tenant''s quotas are being changed: then false.';
