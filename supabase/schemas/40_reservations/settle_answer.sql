create function spend_private.settle_answer(p_reservation spend.reservations)
returns spend.settle_result
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return row(
    p_reservation.id, p_reservation.status, p_reservation.actual_cost_usd::numeric,
    p_reservation.estimated_cost_usd::numeric, p_reservation.is_estimated, '{}'::spend.quota_details[]
  );
end;
$$;
comment on function spend_private.settle_answer is
  'settle_result of a reservation that had ended before.';
