create function spend_private.hold_more(
  p_reservation spend.reservations,
  p_extra_usd numeric,
  p_enforce boolean,
  p_now timestamptz
)
returns spend.reserve_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_answer spend.reserve_result;
  v_hold spend.reservation_hold;
  v_quota spend.cost_quotas;
  v_is_enforced boolean;
  v_details spend.quota_details;
begin
  v_answer.allowed := true;
  v_answer.estimated_cost_usd := p_extra_usd;
  v_answer.replayed := false;
  v_answer.warnings := '{}';
  if p_extra_usd = 0 then
    return v_answer;
  end if;

  foreach v_hold in array p_reservation.holds loop
    select * into v_quota from spend.cost_quotas as q where q.id = v_hold.quota_id;
    continue when not found;

    v_is_enforced := p_enforce and v_quota.enforcement = 'block';
    if coalesce(
      spend_private.await_slot(
        v_hold.quota_id, v_hold.period_start, v_hold.slot, p_extra_usd,
        not v_is_enforced
      ),
      spend_private.make_room(
        v_hold.quota_id, v_hold.period_start, v_hold.slot, p_extra_usd,
        v_is_enforced
      )
    ) is null then
      v_details := spend_private.quota_details(v_quota, v_hold.period_start, p_extra_usd, p_now);
      if spend_private.refusal_reason(v_details) = 'limit_reached' then
        perform spend_private.record_alerts(
          v_quota, v_details, v_hold.period_start, p_reservation.tenant_id, p_now, p_is_refused => true
        );
      end if;
      v_answer.allowed := false;
      return spend_private.explain_refusal(
        v_answer, v_details, p_reservation.tenant_id, p_reservation.user_id, p_now
      );
    end if;
  end loop;

  v_answer.warnings := spend_private.record_warnings(
    p_reservation.tenant_id, spend_private.move_balances(p_reservation.holds, p_extra_usd, 0),
    p_extra_usd, p_now
  );
  return v_answer;
end;
$$;
comment on function spend_private.hold_more is
  'Holds p_extra_usd more in every balance of an open reservation, or in none, and answers like reserve.';

create function spend_private.await_slot(
  p_quota_id bigint,
  p_period_start timestamptz,
  p_slot integer,
  p_cost_usd numeric,
  p_is_observed boolean
)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  perform from spend_private.quota_balances as b
  where b.quota_id = p_quota_id and b.period_start = p_period_start and b.slot = p_slot
    and case
      when b.is_split then b.allotted_usd - b.spent_usd - b.reserved_usd >= p_cost_usd
      else p_is_observed
    end
  for no key update;
  if found then
    return p_slot;
  end if;
  -- Leaving the block releases the lock: make_room waits for all slots in order, and must not hold one of them already.
  raise exception using errcode = 'SGROO', message = 'no_room_left';
exception
  when sqlstate 'SGROO' then
    return null;
end;
$$;
comment on function spend_private.await_slot is
  'Waits for a slot and returns it, locked, if it then has room, or if the quota cannot refuse (p_is_observed) and is over its limit; else null, with nothing locked.';
