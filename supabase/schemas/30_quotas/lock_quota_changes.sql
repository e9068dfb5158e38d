create function spend_private.lock_quota_changes()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock(spend_private.lock_class('quota_changes'), 0);
end;
$$;
comment on function spend_private.lock_quota_changes is
  'Lets one transaction at a time change quotas that are in use, of any tenant, so that two that change several cannot deadlock. Calls do not take this lock.';

create function spend_private.try_lock_quota_changes()
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return pg_try_advisory_xact_lock(spend_private.lock_class('quota_changes'), 0);
end;
$$;
comment on function spend_private.try_lock_quota_changes is
  'lock_quota_changes, without waiting: false while somebody changes quotas.';

create function spend_private.lock_tenant_quota_changes(p_tenant_ids uuid[])
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_key integer;
begin
  perform pg_advisory_xact_lock_shared(spend_private.lock_class('quota_changes'), 0);
  for v_key in
    select distinct spend_private.tenant_key(t.id) as tenant_key
    from unnest(p_tenant_ids) as t (id)
    order by tenant_key
  loop
    perform pg_advisory_xact_lock(spend_private.lock_class('tenant_quota_changes'), v_key);
  end loop;
end;
$$;
comment on function spend_private.lock_tenant_quota_changes is
  'lock_quota_changes for a role that can change only the quotas of these tenants: owners of others do not wait.';

create function spend_private.lock_own_quota_changes()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if spend_private.may_operate('editor') then
    perform spend_private.lock_quota_changes();
  else
    perform spend_private.lock_tenant_quota_changes(array(select spend_private.managed_tenant_ids()));
  end if;
end;
$$;
comment on function spend_private.lock_own_quota_changes is
  'Administration goes one after the other, before it looks at rows or locks them. An owner, whom row-level security confines to tenants, waits for these and for operators alone.';

create function spend_private.lock_before_quota_change()
returns trigger
language plpgsql
-- Definer: a role that may change a quota may lack the right to call what this calls.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- follow_plan has the lock, or inserts rows that nobody else can see. Setting this by hand risks a deadlock with
  -- another change of quotas, or that somebody who returns at that moment misses a change of the plan. The balances have
  -- locks of their own.
  if current_setting('spend.seeding', true) = 'on' then
    return null;
  end if;
  perform spend_private.lock_own_quota_changes();
  return null;
end;
$$;
comment on function spend_private.lock_before_quota_change is
  'Trigger: see lock_own_quota_changes.';

create trigger lock_change before insert or update or delete on spend.cost_quotas
for each statement execute function spend_private.lock_before_quota_change();
create trigger lock_change before update of plan_id, time_zone or delete on spend.tenants
for each statement execute function spend_private.lock_before_quota_change();
create trigger lock_change before insert or update or delete on spend.plan_quotas
for each statement execute function spend_private.lock_before_quota_change();
create trigger lock_change before update of tenant_id, user_id or delete on spend.tenant_members
for each statement execute function spend_private.lock_before_quota_change();
