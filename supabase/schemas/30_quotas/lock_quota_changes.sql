create function spend_private.lock_quota_changes()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('spend.cost_quotas', 0));
end;
$$;
comment on function spend_private.lock_quota_changes is
  'Lets one transaction at a time change quotas that are in use, so that two that change several never wait for each other. Calls do not take this lock.';

create function spend_private.lock_before_quota_change()
returns trigger
language plpgsql
-- Definer: whoever may change a quota need not be able to lock the reservations.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('spend.seeding', true) is distinct from 'on' then
    perform spend_private.lock_quota_changes();
  end if;
  if tg_argv[0] = 'shape' then
    -- As rebase_quota will, but before a row of cost_quotas is locked: a call that opens a balance waits for such a row.
    lock table spend.reservations in share row exclusive mode;
  end if;
  return null;
end;
$$;
comment on function spend_private.lock_before_quota_change is
  'Trigger: takes the locks of a change of quotas before those of its rows. A changed shape (period, subject) stops calls until the transaction ends; a changed limit or number of slots does not.';

create trigger lock_change before update on spend.cost_quotas
for each statement execute function spend_private.lock_before_quota_change();
create trigger lock_shape before update of scope, tenant_id, scope_id, resource_type, period, task, product
on spend.cost_quotas
for each statement execute function spend_private.lock_before_quota_change('shape');
