create function spend_private.overrun_balances(
  p_holds spend.reservation_hold[],
  p_reserved_usd numeric,
  p_spent_usd numeric
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_hold spend.reservation_hold;
begin
  foreach v_hold in array p_holds loop
    -- More is booked than was held: the other slots must give room, so lock all of them, in order.
    perform spend_private.lock_all_slots(v_hold.quota_id, v_hold.period_start);
    perform spend_private.move_balances(array[v_hold], p_reserved_usd, p_spent_usd);
    perform spend_private.allot(v_hold.quota_id, v_hold.period_start);
  end loop;
end;
$$;
comment on function spend_private.overrun_balances is
  'move_balances for a booking that is larger than its hold: redistributes the limit, so that no slot admits what the quota has no room for.';
