create function spend.release(reservation_id uuid, reason text default 'cancelled')
returns spend.settle_result
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.release(release.reservation_id, release.reason);
end;
$$;
comment on function spend.release is
  'Returns a hold and charges nothing: the call was not made, or cost nothing. After expiry, takes the charge of the estimate back. A reservation that is settled or released already does not change; the answer is its state.
Errors: PT404 unknown_reservation, 22023 invalid_usage (reason). For service_role.';
grant execute on function spend.release to service_role;

create function spend_private.release(
  p_reservation_id uuid,
  p_reason text default 'cancelled',
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
begin
  if length(p_reason) > 200 then
    perform spend_private.fail_usage('reason', 'is longer than 200 characters');
  end if;
  if v_reservation.status in ('settled', 'released') then
    return spend_private.settle_answer(v_reservation);
  end if;
  return spend_private.book(
    v_reservation, 'released', row(0, null, v_reservation.price_ids, false),
    jsonb_build_object('release_reason', coalesce(p_reason, 'cancelled')), p_now, v_is_first
  );
end;
$$;
comment on function spend_private.release is
  'spend.release with a clock.';
