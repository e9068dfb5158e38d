create function spend_private.lock_quota_changes()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock(1936748133, 0);
end;
$$;
comment on function spend_private.lock_quota_changes is
  'Lets one transaction at a time change quotas that are in use, whoever they belong to, so that two that change several never wait for each other. Calls do not take this lock.';

create function spend_private.try_lock_quota_changes()
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return pg_try_advisory_xact_lock(1936748133, 0);
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
  perform pg_advisory_xact_lock_shared(1936748133, 0);
  for v_key in
    select distinct spend_private.tenant_key(t.id) as tenant_key
    from unnest(p_tenant_ids) as t (id)
    order by tenant_key
  loop
    perform pg_advisory_xact_lock(1936748134, v_key);
  end loop;
end;
$$;
comment on function spend_private.lock_tenant_quota_changes is
  'lock_quota_changes for who can change the quotas of these tenants alone: others'' owners go on.';

create function spend_private.lock_before_quota_change()
returns trigger
language plpgsql
-- Definer: whoever may change a quota need not be able to call what this calls.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- follow_plan has the lock, or inserts rows that nobody knows yet. Whoever sets this by hand may meet a deadlock with
  -- another change of quotas, and nothing else: the balances have locks of their own.
  if current_setting('spend.seeding', true) = 'on' then
    return null;
  end if;
  if spend_private.sees_all_rows() or spend_private.operator_role() = 'editor' then
    perform spend_private.lock_quota_changes();
  else
    perform spend_private.lock_tenant_quota_changes(array(select spend_private.managed_tenant_ids()));
  end if;
  return null;
end;
$$;
comment on function spend_private.lock_before_quota_change is
  'Trigger: administration goes one after the other, before it locks rows. An owner, whom row-level security confines to tenants, waits for these and for the operator alone.';

create trigger lock_change before insert or update or delete on spend.cost_quotas
for each statement execute function spend_private.lock_before_quota_change();
create trigger lock_change before update of plan_id, time_zone or delete on spend.tenants
for each statement execute function spend_private.lock_before_quota_change();
create trigger lock_change before insert or update or delete on spend.plan_quotas
for each statement execute function spend_private.lock_before_quota_change();
create trigger lock_change before update of tenant_id, user_id or delete on spend.tenant_members
for each statement execute function spend_private.lock_before_quota_change();
