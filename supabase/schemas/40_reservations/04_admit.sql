create type spend_private.admission as (
  call spend_private.call,
  holding spend_private.holding,
  refusal spend.reserve_result,
  refused_from timestamptz
);
comment on type spend_private.admission is
  'Decision on a call. call: as it is held. Admitted: holding says where. Refused: holding is null, and refusal the answer to give; refused_from is the start of the period of the quota that it names.';

create function spend_private.admit(
  p_call spend_private.call,
  p_quotas spend_private.applicable_quota[],
  p_full_place integer,
  p_enforce boolean,
  p_now timestamptz
)
returns spend_private.admission
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quotas spend_private.applicable_quota[] := p_quotas;
  v_call spend_private.call := spend_private.call_to_hold(p_call, v_quotas, p_now);
  v_quota spend_private.applicable_quota;
  v_is_full boolean := false;
  v_holding spend_private.holding;
  v_refusal spend.reserve_result;
begin
  if v_call.cost_usd < p_call.cost_usd then
    v_quotas := spend_private.applicable_quotas(v_call, p_enforce, p_now);
  end if;

  -- Refuse what is exhausted already before anything is locked.
  foreach v_quota in array v_quotas loop
    v_is_full := v_is_full or not v_quota.has_room;
  end loop;
  if v_is_full then
    v_refusal := spend_private.refusal(v_quotas, v_call, p_enforce, p_now);
    if not v_refusal.allowed then
      return spend_private.refused(v_call, v_refusal, v_quotas);
    end if;
    if spend_private.open_periods(v_quotas, p_now) then
      v_quotas := spend_private.applicable_quotas(v_call, p_enforce, p_now);
    end if;
  end if;

  -- Three attempts per quota are enough, unless room keeps appearing and disappearing.
  for v_attempt in 1..3 * cardinality(v_quotas) + 100 loop
    if v_attempt = 1 and p_full_place is not null then
      v_holding.full_place := p_full_place;
    else
      v_holding := spend_private.hold(v_quotas, v_call.cost_usd, p_enforce);
    end if;
    if v_holding.full_place is null then
      return row(v_call, v_holding, null::spend.reserve_result, null::timestamptz);
    end if;

    -- The next attempt waits for a slot of this quota; if that has no room, the one after locks all of them.
    v_quota := v_quotas[v_holding.full_place];
    if v_quota.has_room then
      v_quota.has_room := v_quota.slots > 1 and not v_quota.is_contended;
      v_quota.is_contended := true;
      v_quotas[v_holding.full_place] := v_quota;
    else
      v_refusal := spend_private.refusal(array[v_quota], v_call, p_enforce, p_now);
      if not v_refusal.allowed then
        return spend_private.refused(v_call, v_refusal, v_quotas);
      end if;
    end if;
  end loop;
  perform spend_private.fail(
    '55P03', 'no_decision',
    jsonb_build_object('quota_id', v_quota.quota_id, 'estimated_cost_usd', v_call.cost_usd),
    'Room in this quota kept appearing and disappearing. Try again; if the error persists, see spend.verify_balances().'
  );
end;
$$;
comment on function spend_private.admit is
  'Decides on a call that p_quotas, its quotas, could not hold at once: holds its expected cost where they allow that, refuses it when one is exhausted, waits for locked slots, and makes room; in the order user, tenant, platform. p_full_place: the quota that had no free slot in the first attempt. Raises 55P03 no_decision when a quota repeatedly neither holds nor refuses it.';

create function spend_private.refused(
  p_call spend_private.call,
  p_refusal spend.reserve_result,
  p_quotas spend_private.applicable_quota[]
)
returns spend_private.admission
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return row(
    p_call, null::spend_private.holding, p_refusal,
    (
      select q.period_start from unnest(p_quotas) as q
      where q.quota_id = (p_refusal.quota).quota_id
    )
  );
end;
$$;
comment on function spend_private.refused is
  'Admission of a call that is refused by one of p_quotas.';
