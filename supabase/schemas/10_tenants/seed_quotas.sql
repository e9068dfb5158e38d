create function spend_private.seed_quotas_of_tenant()
returns trigger
language plpgsql
-- Definer: a role that may insert tenants or members may lack the right to write quotas.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.follow_plan(new.id, p_is_locked => tg_op = 'UPDATE');
  return null;
end;
$$;
comment on function spend_private.seed_quotas_of_tenant is
  'Trigger: a new tenant, or one on another plan, gets the quotas of its plan in the same transaction.';

create trigger seed_quotas after insert or update of plan_id on spend.tenants
for each row execute function spend_private.seed_quotas_of_tenant();

create function spend_private.lock_before_return()
returns trigger
language plpgsql
-- Definer: see seed_quotas_of_tenant.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- "on conflict do nothing" of a member who is there changes nothing.
  if exists (
    select from spend.tenant_members as m where m.tenant_id = new.tenant_id and m.user_id = new.user_id
  ) then
    return new;
  end if;
  -- What is booked by hand for him right now has been booked then.
  perform pg_advisory_xact_lock_shared(
    spend_private.lock_class('members'), spend_private.member_key(new.tenant_id, new.user_id)
  );
  if spend_private.has_spent(new.tenant_id, new.user_id) then
    perform spend_private.lock_tenant_quota_changes('{}');
  end if;
  return new;
end;
$$;
comment on function spend_private.lock_before_return is
  'Trigger: a member who returns gets quotas that count what he has spent. That is a change of quotas in use, which others may be in the middle of: it waits for them before it locks its tenant''s row. New members wait for nobody but spend.adjust.';

create function spend_private.member_key(p_tenant_id uuid, p_user_id uuid)
returns integer
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Few, so that who adds ten thousand members at once does not fill the server's lock table.
  return hash_record(row(p_tenant_id, p_user_id)) & 1023;
end;
$$;
comment on function spend_private.member_key is
  'Second number of the advisory lock of somebody who may be joining a tenant: one of 1024.';

create function spend_private.await_member(p_tenant_id uuid, p_user_id uuid)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from spend.tenant_members as m where m.tenant_id = p_tenant_id and m.user_id = p_user_id
  ) then
    perform pg_advisory_xact_lock(
      spend_private.lock_class('members'), spend_private.member_key(p_tenant_id, p_user_id)
    );
  end if;
end;
$$;
comment on function spend_private.await_member is
  'Before something is booked for a user whom no call has shown to be a member: waits while he joins, so that it counts in the quotas that he gets, and makes him wait until it is booked. Taken before the calls of his tenant are joined.';

create trigger lock_before_return before insert on spend.tenant_members
for each row execute function spend_private.lock_before_return();

create function spend_private.seed_quotas_of_members()
returns trigger
language plpgsql
-- Definer: see seed_quotas_of_tenant.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_locked boolean := exists (
    select from arrived as a where not spend_private.is_new_subject(a.tenant_id, a.user_id)
  );
begin
  if v_is_locked then
    perform spend_private.lock_tenant_quota_changes(array(select a.tenant_id from arrived as a));
  end if;
  -- In the order in which all who stop calls of several tenants lock them (stop_calls).
  perform spend_private.follow_plan(m.tenant_id, m.user_id, v_is_locked)
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
