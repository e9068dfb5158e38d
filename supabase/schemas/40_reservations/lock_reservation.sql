create function spend_private.lock_reservation(p_reservation_id uuid)
returns spend.reservations
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_tenant_key integer := spend_private.reservation_tenant_key(p_reservation_id);
  v_reservation spend.reservations;
begin
  perform spend_private.join_calls(v_tenant_key);
  -- Not a join: planned while the table is empty, a join would search the whole index for the id.
  select * into v_reservation
  from spend.reservations as r
  where r.id = p_reservation_id and r.tenant_id = any (array(
    select t.id from spend.tenants as t where spend_private.tenant_key(t.id) = v_tenant_key
  ))
  for no key update;
  if not found then
    perform spend_private.fail(
      'PT404', 'unknown_reservation', jsonb_build_object('reservation_id', p_reservation_id),
      'Pass the reservation_id that reserve returned.'
    );
  end if;
  return v_reservation;
end;
$$;
comment on function spend_private.lock_reservation is
  'Finds a reservation by its id, without its tenant, and locks it. Raises PT404 unknown_reservation.';
