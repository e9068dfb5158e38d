create function spend_private.member_tenant_ids()
returns setof uuid
language plpgsql stable
-- Definer: a policy on tenant_members that read tenant_members itself would recurse.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select m.tenant_id from spend.tenant_members as m where m.user_id = (select auth.uid());
end;
$$;
comment on function spend_private.member_tenant_ids is
  'Tenants that the signed-in user belongs to. For RLS policies.';
grant execute on function spend_private.member_tenant_ids to authenticated;

create function spend_private.managed_tenant_ids()
returns setof uuid
language plpgsql stable
-- Definer: see member_tenant_ids.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select m.tenant_id
    from spend.tenant_members as m
    where m.user_id = (select auth.uid()) and m.role in ('owner', 'admin');
end;
$$;
comment on function spend_private.managed_tenant_ids is
  'Tenants that the signed-in user is an owner or admin of. For RLS policies.';
grant execute on function spend_private.managed_tenant_ids to authenticated;
