create type spend_private.admission as (
  call spend_private.call,
  holds spend.reservation_hold[],
  answer spend.reserve_result
);
comment on type spend_private.admission is
  'Decision on a call. call: as it is held. Admitted: answer.allowed, and in holds the balances that have room, locked; else the answer to give.';

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
  v_admission spend_private.admission;
  v_quotas spend_private.applicable_quota[];
  v_quota spend_private.applicable_quota;
  v_slot integer;
begin
  v_quotas := spend_private.applicable_quotas(
    p_call.tenant_id, p_call.time_zone, p_call.user_id, p_call.resource_type, p_call.task,
    p_call.product, p_call.cost_usd, p_now
  );
  v_admission.call := spend_private.call_to_hold(p_call, v_quotas, p_now);
  if (v_admission.call).cost_usd < p_call.cost_usd then
    p_call := v_admission.call;
    v_quotas := spend_private.applicable_quotas(
      p_call.tenant_id, p_call.time_zone, p_call.user_id, p_call.resource_type, p_call.task,
      p_call.product, p_call.cost_usd, p_now
    );
  end if;
  v_admission.holds := '{}';

  -- What is exhausted already is refused here, before anything is locked.
  v_admission.answer := spend_private.refusal(v_quotas, p_call, p_enforce, p_now);
  if not (v_admission.answer).allowed then
    return v_admission;
  end if;

  foreach v_quota in array coalesce(v_quotas, '{}') loop
    if not v_quota.is_open then
      perform spend_private.open_balances(v_quota.quota_id, p_now);
    end if;
  end loop;

  -- All are locked and checked before the first is changed.
  foreach v_quota in array coalesce(v_quotas, '{}') loop
    v_slot := spend_private.choose_slot(
      v_quota.quota_id, v_quota.period_start, v_quota.slots, p_call.cost_usd,
      p_enforce and v_quota.is_enforced
    );
    if v_slot is null then
      v_quota.has_room := false;
      v_admission.answer := spend_private.refusal(array[v_quota], p_call, p_enforce, p_now);
      return v_admission;
    end if;
    v_admission.holds := v_admission.holds
      || row(v_quota.quota_id, v_quota.period_start, v_slot)::spend.reservation_hold;
  end loop;
  return v_admission;
end;
$$;
comment on function spend_private.admit is
  'Decides on a call: looks at all of its quotas without a lock, then locks a balance with room in each, in the order user, tenant, platform. Changes nothing but allotments between the slots of a quota.';
