create type spend_private.admission as (
  call spend_private.call,
  holds spend.reservation_hold[],
  refusal spend.reserve_result
);
comment on type spend_private.admission is
  'Decision on a call. call: as it is held. Admitted: in holds the balances that have room, locked. Refused: holds is null, and refusal the answer to give.';

create function spend_private.admit(
  p_call spend_private.call,
  p_enforce boolean,
  p_now timestamptz
)
returns spend_private.admission
language plpgsql volatile
set search_path = ''
as $$
declare
  v_call spend_private.call;
  v_quotas spend_private.applicable_quota[];
  v_quota spend_private.applicable_quota;
  v_is_tight boolean := false;
  v_refusal spend.reserve_result;
  v_slot integer;
  v_holds spend.reservation_hold[] := '{}';
begin
  v_quotas := spend_private.applicable_quotas(
    p_call.tenant_id, p_call.time_zone, p_call.user_id, p_call.resource_type, p_call.task,
    p_call.product, p_call.cost_usd, p_now
  );
  v_call := spend_private.call_to_hold(p_call, v_quotas, p_now);
  if v_call.cost_usd < p_call.cost_usd then
    v_quotas := spend_private.applicable_quotas(
      v_call.tenant_id, v_call.time_zone, v_call.user_id, v_call.resource_type, v_call.task,
      v_call.product, v_call.cost_usd, p_now
    );
  end if;

  -- What is exhausted already is refused here, before anything is locked.
  foreach v_quota in array v_quotas loop
    v_is_tight := v_is_tight or not v_quota.has_room;
  end loop;
  if v_is_tight then
    v_refusal := spend_private.refusal(v_quotas, v_call, p_enforce, p_now);
    if not v_refusal.allowed then
      return row(v_call, null::spend.reservation_hold[], v_refusal);
    end if;
    perform spend_private.open_periods(v_quotas, p_now);
  end if;

  -- All are locked and checked before the first is changed.
  foreach v_quota in array v_quotas loop
    v_slot := spend_private.choose_slot(
      v_quota.quota_id, v_quota.period_start, v_quota.slots, v_call.cost_usd,
      p_enforce and v_quota.is_enforced
    );
    if v_slot is null then
      v_quota.has_room := false;
      v_refusal := spend_private.refusal(array[v_quota], v_call, p_enforce, p_now);
      return row(v_call, null::spend.reservation_hold[], v_refusal);
    end if;
    v_holds := v_holds || row(v_quota.quota_id, v_quota.period_start, v_slot)::spend.reservation_hold;
  end loop;
  return row(v_call, v_holds, null::spend.reserve_result);
end;
$$;
comment on function spend_private.admit is
  'Decides on a call: looks at all of its quotas without a lock, then locks a balance with room in each, in the order user, tenant, platform. Changes nothing but allotments between the slots of a quota.';
