create function spend.settle(reservation_id uuid, usage jsonb, metadata jsonb default '{}')
returns spend.settle_result
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.settle(settle.reservation_id, settle.usage, settle.metadata);
end;
$$;
comment on function spend.settle is
  'Charges the real cost of a reservation and returns its hold, in one transaction. Charges it in full, even above the hold or over a limit, at the prices that the reservation was made at.
usage: as in reserve; null, or a missing count, is unknown usage: charged at the estimate (or at the known part, where that costs more) and flagged is_estimated. metadata {"is_estimated": true} says that the caller counted the usage, and the provider did not report it: charged as it is, and flagged. Settling again returns the first result and charges nothing. After a release the cost is charged (it was spent); after expiry the charge is corrected. With spend.settings.settle_asynchronously it answers before the disk has it.
Errors: 22023 invalid_usage (also metadata that is no object of at most 8 KiB), PT404 unknown_reservation. For service_role.';
grant execute on function spend.settle to service_role;

create function spend_private.settle(
  p_reservation_id uuid,
  p_usage jsonb,
  p_metadata jsonb default '{}',
  p_now timestamptz default now()
)
returns spend.settle_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Before the reservation is locked.
  v_is_first boolean := pg_current_xact_id_if_assigned() is null;
  v_reservation spend.reservations := spend_private.lock_reservation(p_reservation_id);
  v_actual spend_private.actual_cost;
begin
  if jsonb_typeof(p_metadata) <> 'object' or pg_column_size(p_metadata) > 8192 then
    perform spend_private.fail_usage('metadata', 'is not an object of at most 8 KiB');
  elsif v_reservation.status = 'settled' then
    return spend_private.settle_answer(v_reservation);
  end if;
  v_actual := spend_private.actual_cost(v_reservation, p_usage);
  v_actual.is_estimated := v_actual.is_estimated or coalesce(p_metadata @> '{"is_estimated": true}', false);
  -- Only where the request to the API is this settle and no more: whoever calls from SQL may hold in the same transaction,
  -- and a hold must outlive a crash. And only where the hold, which then expires, costs no less.
  if v_is_first and v_reservation.status = 'held' and v_actual.cost_usd <= v_reservation.estimated_cost_usd
    and current_setting('request.path', true) = '/rpc/settle' then
    perform set_config('synchronous_commit', 'off', true) from spend.settings as s where s.settle_asynchronously;
  end if;
  return spend_private.book(v_reservation, 'settled', v_actual, p_metadata, p_now, v_is_first);
end;
$$;
comment on function spend_private.settle is
  'spend.settle with a clock.';
