create function spend_private.demand_read_committed()
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    perform spend_private.fail(
      '0A000', 'isolation_not_supported',
      jsonb_build_object('transaction_isolation', current_setting('transaction_isolation')),
      'Use a transaction of isolation level read committed: any other sees balances and bookings as they were when it began.'
    );
  end if;
end;
$$;
comment on function spend_private.demand_read_committed is
  'Raises 0A000 isolation_not_supported in a transaction with an old snapshot: it would miss what others booked since, whatever it locks. Called before quotas are changed.';

create function spend_private.refuse_old_snapshot()
returns trigger
language plpgsql
-- Definer: the caller may lack the right to call demand_read_committed().
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.demand_read_committed();
  return null;
end;
$$;
comment on function spend_private.refuse_old_snapshot is
  'Trigger: quotas, plans'' quotas, who follows them, and the time zones that bound periods are changed only in transactions of isolation level read committed (0A000 isolation_not_supported).';

create trigger demand_read_committed before insert or update or delete on spend.cost_quotas
for each statement execute function spend_private.refuse_old_snapshot();
create trigger demand_read_committed before update of time_zone, plan_id on spend.tenants
for each statement execute function spend_private.refuse_old_snapshot();
create trigger demand_read_committed before insert or update or delete on spend.plan_quotas
for each statement execute function spend_private.refuse_old_snapshot();
