create function spend_private.seed_quotas_of_tenant()
returns trigger
language plpgsql
-- Definer: a role that may insert tenants or members may lack the right to write quotas.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.follow_plan(new.id);
  return null;
end;
$$;
comment on function spend_private.seed_quotas_of_tenant is
  'Trigger: a new tenant, or one on another plan, gets the quotas of its plan in the same transaction.';

create trigger seed_quotas after insert or update of plan_id on spend.tenants
for each row execute function spend_private.seed_quotas_of_tenant();

create function spend_private.seed_quotas_of_members()
returns trigger
language plpgsql
-- Definer: see seed_quotas_of_tenant.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- In the order in which all who stop calls of several tenants lock them (stop_calls).
  perform spend_private.follow_plan(m.tenant_id, m.user_id)
  from (
    select a.tenant_id, a.user_id from arrived as a
    order by spend_private.tenant_key(a.tenant_id), a.tenant_id, a.user_id
  ) as m;
  return null;
end;
$$;
comment on function spend_private.seed_quotas_of_members is
  'Trigger: new members get the user quotas of their plans.';

create trigger seed_quotas after insert on spend.tenant_members
referencing new table as arrived
for each statement execute function spend_private.seed_quotas_of_members();

create function spend_private.seed_quotas_of_member()
returns trigger
language plpgsql
-- Definer: see seed_quotas_of_tenant.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from spend.cost_quotas as q
  where q.tenant_id = old.tenant_id and q.scope_id = old.user_id and q.scope = 'user';
  -- Also without a quota to delete: a member who returns counts as new (is_new_subject).
  perform spend_private.stop_calls(array[old.tenant_id]);
  if tg_op <> 'DELETE' then
    perform spend_private.follow_plan(new.tenant_id, new.user_id);
  end if;
  return null;
end;
$$;
comment on function spend_private.seed_quotas_of_member is
  'Trigger: a removed member loses its quotas, its history stays; who takes its place gets the user quotas of the plan.';

create trigger seed_quotas_of_changed after update of tenant_id, user_id or delete on spend.tenant_members
for each row execute function spend_private.seed_quotas_of_member();
