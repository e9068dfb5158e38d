create function spend.release_hold(reservation_id uuid, reason text)
returns spend.settle_result
language plpgsql volatile
-- Definer: spend.release is for service_role; who may is decided here.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  perform spend_private.demand_operator('editor');
  if release_hold.reason is null or btrim(release_hold.reason) = '' then
    perform spend_private.fail(
      '22023', 'invalid_usage', jsonb_build_object('field', 'reason', 'value', release_hold.reason),
      'reason: why, in words; it is kept with the reservation.'
    );
  end if;
  return spend_private.release(release_hold.reservation_id, release_hold.reason);
end;
$$;
comment on function spend.release_hold is
  'spend.release by hand: gives a hold back whose call will never end, without booking anything. Should the call end after all, its settle books what it cost.
For operators of the role editor, and service_role. Errors: PT403 not_an_operator, 22023 invalid_usage (reason), PT404 unknown_reservation.';
grant execute on function spend.release_hold to authenticated, service_role;
