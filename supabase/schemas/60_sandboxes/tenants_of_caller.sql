create function spend_private.tenants_of_caller(p_user_id uuid, p_tenant_id uuid)
returns setof uuid
language plpgsql stable
-- A user is in few tenants: one context is looked up for each.
rows 3
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  if p_user_id is null then
    return query select p_tenant_id where p_tenant_id is not null;
  else
    return query
      select m.tenant_id from spend.tenant_members as m
      where m.user_id = p_user_id and (p_tenant_id is null or m.tenant_id = p_tenant_id);
  end if;
end;
$$;
comment on function spend_private.tenants_of_caller is
  'Tenants whose contexts a caller may look for: those of the user, only p_tenant_id where it is given; without a user the tenant itself.';
