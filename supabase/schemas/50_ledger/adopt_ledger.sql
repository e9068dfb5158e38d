create function spend_private.adopt_ledger()
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state spend_private.ledger_state;
  v_before xid8;
  v_events bigint;
begin
  -- The count below then has every event, all of them committed.
  lock table spend.cost_events in share row exclusive mode;
  select * into v_state from spend_private.ledger_state as s for no key update;
  v_before := pg_snapshot_xmin(pg_current_snapshot());

  perform spend_private.add_to_totals(v_state.rolled_up_before, '18446744073709551615');
  -- Corrections of dropped months that were not counted yet, before their numbers are lost.
  perform spend_private.count_events(
    v_state.rolled_up_before, '18446744073709551615', p_occurred_before => v_state.kept_from
  );
  delete from spend_private.cost_rollups as r where r.hour >= v_state.kept_from;
  delete from spend_private.conversation_rollups as r where r.hour >= v_state.kept_from;
  update spend.cost_events as e set booked_xid = '3' where e.booked_xid >= v_before;
  -- What roll_up left out is counted with the rest.
  update spend.problems as p set resolved_at = now()
  where p.job = 'roll_up' and p.resolved_at is null and p.details ->> 'booked_xid' is not null;
  v_events := spend_private.count_events('0', v_before, null, v_state.kept_from);

  update spend_private.ledger_state as s set
    rolled_up_before = v_before, cluster_id = spend_private.cluster_id();
  return v_events;
end;
$$;
comment on function spend_private.adopt_ledger is
  'For a ledger that was restored into another server, whose transactions count from elsewhere: assigns its events to an old transaction, and rolls them up from the start; returns how many. Bookings wait meanwhile. spend.maintain() calls it.';
