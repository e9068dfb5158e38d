create function spend_private.demand_member()
returns trigger
language plpgsql
-- Definer: a role that may write quotas may lack the right to read members.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from spend.tenant_members as m where m.tenant_id = new.tenant_id and m.user_id = new.scope_id
  ) then
    perform spend_private.fail(
      '22023', 'invalid_quota',
      jsonb_build_object('field', 'scope_id', 'value', new.scope_id, 'tenant_id', new.tenant_id),
      'scope_id: for the scope user the id of a member of the tenant. Insert the user into spend.tenant_members first.'
    );
  end if;
  return null;
end;
$$;
comment on function spend_private.demand_member is
  'Trigger: a quota of a user is one of a member of the tenant (22023 invalid_quota, scope_id). After the row, whose statement may insert the member too.';

create trigger demand_member after insert or update of scope, tenant_id, scope_id on spend.cost_quotas
for each row when (new.scope = 'user') execute function spend_private.demand_member();
