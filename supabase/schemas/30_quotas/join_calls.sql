create function spend_private.join_calls(p_tenant_key integer)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    perform spend_private.demand_read_committed();
  end if;
  -- In this order, and before any row is locked (spend_private.stop_calls says why).
  perform pg_advisory_xact_lock_shared(spend_private.lock_class('calls'), p_tenant_key);
  lock table spend.reservations in row exclusive mode;
end;
$$;
comment on function spend_private.join_calls is
  'First step of everything that holds or books money of a tenant (its tenant_key): waits while the tenant''s quotas, or the platform''s, are being changed, and makes such a change wait until this transaction ends. Calls never wait for each other here. Raises 55P03, and 0A000 isolation_not_supported.';

create function spend_private.try_join_calls(p_tenant_key integer)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return pg_try_advisory_xact_lock_shared(spend_private.lock_class('calls'), p_tenant_key);
end;
$$;
comment on function spend_private.try_join_calls is
  'join_calls for batches over many tenants: returns false at once while the tenant''s quotas are being changed. The batch locks the table itself.';
