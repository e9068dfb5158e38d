create function spend_private.book(
  p_reservation spend.reservations,
  p_status text,
  p_actual spend_private.actual_cost,
  p_metadata jsonb,
  p_now timestamptz,
  p_is_first boolean default false
)
returns spend.settle_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_cost_usd numeric := p_actual.cost_usd - coalesce(p_reservation.actual_cost_usd, 0);
  -- The events of a call add up to one call, or to none when it is released, however often it is corrected.
  v_calls integer := (p_status <> 'released')::integer - (p_reservation.status in ('settled', 'expired'))::integer;
  v_kind text := case
    when p_reservation.status <> 'held' then 'correction'
    when p_status = 'expired' then 'expiry'
    else 'charge'
  end;
  v_at_threshold spend.reservation_hold[] := p_reservation.holds; -- after an overrun, all of them
begin
  if p_reservation.status = 'released' and not spend_private.is_booked(p_reservation) then
    v_kind := 'charge';
  end if;
  if p_status <> 'released' or v_cost_usd <> 0 or v_calls <> 0 then
    insert into spend.cost_events (
      tenant_id, occurred_at, booked_at, kind, reservation_id, user_id, conversation_id, path_id,
      task, resource_type, provider, product, usage, cost_usd, calls, price_ids, is_estimated, metadata
    )
    values (
      p_reservation.tenant_id, p_reservation.created_at, p_now, v_kind,
      p_reservation.id, p_reservation.user_id, p_reservation.conversation_id, p_reservation.path_id,
      p_reservation.task, p_reservation.resource_type, p_reservation.provider, p_reservation.product,
      p_actual.usage, v_cost_usd, v_calls, p_actual.price_ids, p_actual.is_estimated,
      p_reservation.metadata || coalesce(p_metadata, '{}')
    );
  end if;

  update spend.reservations as r set
    status = p_status, actual_cost_usd = p_actual.cost_usd, is_estimated = p_actual.is_estimated,
    release_reason = case p_status when 'released' then p_metadata ->> 'release_reason' end,
    ended_at = p_now
  where r.tenant_id = p_reservation.tenant_id and r.id = p_reservation.id;

  -- Balances last: others wait for them, so they are locked for the shortest time.
  if p_is_first and p_reservation.status = 'held' and p_reservation.holds[1].slot = 0 then
    perform spend_private.await_turn(p_reservation.holds[1].quota_id);
  end if;
  if p_reservation.status <> 'held' then
    v_at_threshold := spend_private.correct_balances(p_reservation, v_cost_usd, p_now);
  elsif v_cost_usd > p_reservation.estimated_cost_usd then
    perform spend_private.overrun_balances(p_reservation.holds, -p_reservation.estimated_cost_usd, v_cost_usd);
  else
    v_at_threshold := spend_private.move_balances(p_reservation.holds, -p_reservation.estimated_cost_usd, v_cost_usd);
  end if;
  if v_cost_usd < 0 then
    perform spend_private.end_alerts(p_reservation.holds, p_now);
  end if;

  return row(
    p_reservation.id, p_status,
    -- As it is stored, so that a retry gets the same answer.
    p_actual.cost_usd::numeric(24, 12),
    p_reservation.estimated_cost_usd::numeric, p_actual.is_estimated,
    case v_at_threshold
      when '{}' then '{}' else spend_private.record_warnings(p_reservation.tenant_id, v_at_threshold, p_actual.cost_usd, p_now)
    end
  );
end;
$$;
comment on function spend_private.book is
  'Ends a reservation, or corrects its end: writes the event with the difference between its cost and what was booked before, and returns the hold. Changes the balances that hold it; after its end, those that count it now. p_is_first: the transaction had written nothing before, and so has locked no balance (await_turn).';

create function spend_private.is_booked(p_reservation spend.reservations)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return exists (
    select from spend.cost_events as e
    where e.tenant_id = p_reservation.tenant_id and e.occurred_at = p_reservation.created_at
      and e.reservation_id = p_reservation.id
  );
end;
$$;
comment on function spend_private.is_booked is
  'Whether the ledger has an event of a reservation. A released one that has, expired first.';
