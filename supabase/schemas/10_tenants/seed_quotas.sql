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
declare
  -- Tenants to which somebody returns: his quotas there count what he has spent.
  v_tenant_ids uuid[] := array(
    select distinct a.tenant_id from arrived as a
    where not spend_private.is_new_subject(a.tenant_id, a.user_id)
  );
begin
  if v_tenant_ids <> '{}' then
    -- As every change of quotas that are in use: who is changing some may yet call, or change what is locked below.
    perform spend_private.lock_tenant_quota_changes(v_tenant_ids);
    -- Where he gets quotas, in all tenants at once. Whoever has stopped the calls of one, and so has the table of
    -- reservations, must not wait for those of another.
    v_tenant_ids := array(
      select t.id
      from spend.tenants as t
      where t.id = any (v_tenant_ids)
        and exists (select from spend.plan_quotas as p where p.plan_id = t.plan_id and p.scope = 'user')
      order by spend_private.tenant_key(t.id), t.id
    );
  end if;
  if cardinality(v_tenant_ids) > 1 then
    perform spend_private.lock_plan(t.id) from unnest(v_tenant_ids) as t (id);
    perform spend_private.stop_calls(v_tenant_ids);
  end if;
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
  'Trigger: new members get the user quotas of their plans. Waits for changes of quotas, where one returns who has spent.';

create trigger seed_quotas after insert on spend.tenant_members
referencing new table as arrived
for each statement execute function spend_private.seed_quotas_of_members();

create function spend_private.remove_quotas_of_member(p_tenant_id uuid, p_user_id uuid)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from spend.cost_quotas as q
  where q.tenant_id = p_tenant_id and q.scope_id = p_user_id and q.scope = 'user';
  -- Also without a quota to delete: a member who returns counts as new (is_new_subject).
  perform spend_private.stop_calls(array[p_tenant_id]);
end;
$$;
comment on function spend_private.remove_quotas_of_member is
  'A removed member loses its quotas; its history stays. Waits for its calls.';

create function spend_private.remove_quotas_of_members()
returns trigger
language plpgsql
-- Definer: see seed_quotas_of_tenant.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- In this order: see seed_quotas_of_members.
  perform spend_private.remove_quotas_of_member(m.tenant_id, m.user_id)
  from (
    select d.tenant_id, d.user_id from departed as d
    order by spend_private.tenant_key(d.tenant_id), d.tenant_id, d.user_id
  ) as m;
  return null;
end;
$$;
comment on function spend_private.remove_quotas_of_members is
  'Trigger: removed members lose their quotas.';

create trigger remove_quotas after delete on spend.tenant_members
referencing old table as departed
for each statement execute function spend_private.remove_quotas_of_members();

create function spend_private.move_quotas_of_members()
returns trigger
language plpgsql
-- Definer: see seed_quotas_of_tenant.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_change record;
begin
  for v_change in
    select m.tenant_id, m.user_id, m.has_left
    from (
      (
        select d.tenant_id, d.user_id, true as has_left from departed as d
        except select a.tenant_id, a.user_id, true from arrived as a
      )
      union all
      (
        select a.tenant_id, a.user_id, false from arrived as a
        except select d.tenant_id, d.user_id, false from departed as d
      )
    ) as m
    -- In this order: see seed_quotas_of_members.
    order by spend_private.tenant_key(m.tenant_id), m.tenant_id, m.has_left desc, m.user_id
  loop
    if v_change.has_left then
      perform spend_private.remove_quotas_of_member(v_change.tenant_id, v_change.user_id);
    else
      perform spend_private.follow_plan(v_change.tenant_id, v_change.user_id);
    end if;
  end loop;
  return null;
end;
$$;
comment on function spend_private.move_quotas_of_members is
  'Trigger: whose row becomes somebody else''s, or another tenant''s, loses its quotas; who takes its place gets the user quotas of the plan.';

create trigger move_quotas after update on spend.tenant_members
referencing old table as departed new table as arrived
for each statement execute function spend_private.move_quotas_of_members();
