create function spend_private.stop_calls(p_tenant_ids uuid[])
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_keys integer[] := array(
    select distinct spend_private.tenant_key(t.id) as tenant_key
    from unnest(p_tenant_ids) as t (id)
    where t.id is not null
    order by tenant_key
  );
  v_key integer;
  v_asked integer;
begin
  -- See stop_recounts.
  perform pg_advisory_xact_lock_shared(spend_private.lock_class('recounts'), 0);
  -- How often this transaction has asked: it has stopped as many tenants, or fewer.
  v_asked := cardinality(v_keys) + coalesce(substring(current_setting('spend.stopped_calls', true) from '^\d{1,6}$')::integer, 0);
  if v_asked > 1000 then
    v_asked := cardinality(v_keys) + spend_private.stopped_tenants();
  end if;
  -- Beyond 1,000 tenants the server's lock table could run out.
  if array_position(p_tenant_ids, null) is not null or v_asked > 1000 then
    lock table spend.reservations in share row exclusive mode;
    return;
  end if;
  perform set_config('spend.stopped_calls', v_asked::text, true);
  foreach v_key in array v_keys loop
    continue when pg_try_advisory_xact_lock(spend_private.lock_class('calls'), v_key);
    -- Calls lock their tenant, then the table. With the table locked, no call is past its first step, and waiting for one
    -- would deadlock: it waits for the table.
    exit when spend_private.has_stopped_all();
    perform pg_advisory_xact_lock(spend_private.lock_class('calls'), v_key);
  end loop;
  -- A change of the platform's quotas, which asks for no tenant's lock, is waited for here.
  lock table spend.reservations in row exclusive mode;
end;
$$;
comment on function spend_private.stop_calls is
  'Before the balances of these tenants are recounted: waits until their running calls have ended, and makes new ones wait until this transaction ends, so that the count is complete. Null among the ids is the platform: then all calls wait. Calls of other tenants go on. Raises 55P03 when a call does not end within 3 s.';

-- Reading the locks makes calls wait that take one: only where it decides.
create function spend_private.stopped_tenants()
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select count(*)::integer
    from pg_catalog.pg_locks as l
    where l.pid = pg_backend_pid() and l.granted
      and l.locktype = 'advisory' and l.classid = spend_private.lock_class('calls')
  );
end;
$$;
comment on function spend_private.stopped_tenants is
  'How many tenants'' calls this transaction has joined or stopped.';

create function spend_private.has_stopped_all()
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from pg_catalog.pg_locks as l
    where l.pid = pg_backend_pid() and l.granted
      and l.relation = 'spend.reservations'::regclass and l.mode = 'ShareRowExclusiveLock'
  );
end;
$$;
comment on function spend_private.has_stopped_all is
  'Whether this transaction has stopped the calls of all tenants.';

create function spend_private.stop_recounts()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock(spend_private.lock_class('recounts'), 0);
end;
$$;
comment on function spend_private.stop_recounts is
  'For bookings of more tenants than join_calls could lock: no balance is recounted until this transaction ends (stop_calls waits), while calls go on. Taken before any other lock.';

create function spend_private.try_stop_calls(p_tenant_id uuid)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if not (
    pg_try_advisory_xact_lock_shared(spend_private.lock_class('recounts'), 0)
    and pg_try_advisory_xact_lock(spend_private.lock_class('calls'), spend_private.tenant_key(p_tenant_id))
  ) then
    return false;
  end if;
  lock table spend.reservations in row exclusive mode nowait;
  return true;
exception
  when lock_not_available then
    return false;
end;
$$;
comment on function spend_private.try_stop_calls is
  'stop_calls of one tenant, for a transaction that others may be waiting for: returns false at once while a call of the tenant, or a change of the platform''s quotas, is under way.';
