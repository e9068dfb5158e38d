create function spend_private.hold_calls(p_batch spend_private.batched_call[], p_now timestamptz)
returns spend_private.batched_call[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- Others wait for what the batch has locked already: shorter than single calls wait.
set lock_timeout = '500ms'
as $$
declare
  v_quotas spend_private.batched_quota[];
  v_held spend_private.batched_quota[];
begin
  p_batch := spend_private.look_at_calls(p_batch, p_now);
  v_quotas := spend_private.quotas_of(p_batch);
  -- Before any balance is locked, as single calls do.
  perform spend_private.open_periods(array(select q.quota from unnest(v_quotas) as q), p_now);
  v_held := spend_private.hold_together(v_quotas);
  if v_held is null then
    for v_place in 1..cardinality(v_quotas) loop
      v_quotas[v_place] := spend_private.hold_batched(v_quotas[v_place]);
      if v_quotas[v_place].error is not null then
        -- Once was enough: from here on for nobody.
        perform set_config('lock_timeout', '1ms', true);
      end if;
    end loop;
    perform set_config('lock_timeout', '500ms', true);
    p_batch := spend_private.decide_calls(p_batch, v_quotas);
    v_held := spend_private.adjust_holds(v_quotas, spend_private.quotas_of(p_batch));
  end if;
  return spend_private.admit_calls(p_batch, v_held, p_now);
end;
$$;
comment on function spend_private.hold_calls is
  'Decides on the pending calls of a batch: each balance is locked and written once for all of them, in the lock order over the whole batch.';

create function spend_private.look_at_calls(p_batch spend_private.batched_call[], p_now timestamptz)
returns spend_private.batched_call[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_call spend_private.batched_call;
  v_enforce boolean;
  v_to_hold spend_private.call;
  v_refusal spend.reserve_result;
begin
  for v_place in 1..cardinality(p_batch) loop
    v_call := p_batch[v_place];
    continue when not v_call.is_pending;
    v_enforce := coalesce((v_call.request).enforce, true);
    v_call.quotas := spend_private.applicable_quotas(v_call.call, v_enforce, p_now);
    v_to_hold := spend_private.call_to_hold(v_call.call, v_call.quotas, p_now);
    if v_to_hold.cost_usd < (v_call.call).cost_usd then
      v_call.call := v_to_hold;
      v_call.quotas := spend_private.applicable_quotas(v_call.call, v_enforce, p_now);
    end if;
    -- Refuse what is exhausted already before anything is locked.
    v_refusal := spend_private.refusal(v_call.quotas, v_call.call, v_enforce, p_now);
    if not v_refusal.allowed then
      v_call.is_pending := false;
      v_call.answer := v_refusal;
    end if;
    p_batch[v_place] := v_call;
  end loop;
  return p_batch;
end;
$$;
comment on function spend_private.look_at_calls is
  'Finds the quotas and the cost to hold of each pending call of a batch, and refuses those that a quota has no room for by itself, as seen without a lock.';

create function spend_private.quotas_of(p_batch spend_private.batched_call[])
returns spend_private.batched_quota[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return array(
    select row(
      row(a.quota_id, a.period_start, a.slots, a.is_enforced, false, a.has_room, false)::spend_private.applicable_quota,
      a.tenant_id, a.call_usd, a.cost_usd, null, null, null, null
    )::spend_private.batched_quota
    from (
      select
        n.quota_id, n.period_start, n.slots, sum((b.call).cost_usd) as cost_usd,
        bool_or(n.is_enforced and coalesce((b.request).enforce, true)) as is_enforced,
        bool_and(n.has_room) as has_room,
        (array_agg((b.call).tenant_id order by b.ordinality))[1] as tenant_id,
        (array_agg((b.call).cost_usd order by b.ordinality))[1] as call_usd
      from unnest(p_batch) with ordinality as b
      cross join lateral unnest(b.quotas) as n
      where b.is_pending
      group by n.quota_id, n.period_start, n.slots
    ) as a
    left join spend.cost_quotas as q on q.id = a.quota_id
    -- The lock order of reserve, over the whole batch.
    order by spend_private.lock_rank(q.scope), a.quota_id
  );
end;
$$;
comment on function spend_private.quotas_of is
  'The quotas that the pending calls of a batch count in, with what these cost together, in lock order. is_enforced: one of the calls may be refused.';

create function spend_private.hold_together(p_quotas spend_private.batched_quota[])
returns spend_private.batched_quota[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- A nested loop alone takes the quotas in their order, which is the lock order.
set enable_hashjoin = 'off'
set enable_mergejoin = 'off'
as $$
declare
  v_held spend_private.batched_quota[];
begin
  if (p_quotas[1].quota).slots = 1 and pg_current_xact_id_if_assigned() is null then
    perform spend_private.await_turn((p_quotas[1].quota).quota_id);
  end if;
  with held as (
    update spend_private.quota_balances as b set reserved_usd = b.reserved_usd + q.cost_usd
    from (
      select
        n.ordinality as place, n.quota, n.tenant_id, n.call_usd, n.cost_usd, not (n.quota).is_enforced as is_observed,
        -- The only slot is waited for.
        case when (n.quota).slots = 1 then 0 else spend_private.free_slot(
          (n.quota).quota_id, (n.quota).period_start, (n.quota).slots, n.cost_usd, not (n.quota).is_enforced
        ) end as slot
      from unnest(p_quotas) with ordinality as n
      -- Not merged into the join: the search must run once for each quota.
      offset 0
    ) as q
    -- Not "=": that would let a nested loop begin with the balances, in the order of the index.
    where b.quota_id = any (array[(q.quota).quota_id]) and b.period_start = (q.quota).period_start and b.slot = q.slot
      -- The only slot may have lost its room while it was waited for.
      and case
        when b.is_split then b.allotted_usd - b.spent_usd - b.reserved_usd >= q.cost_usd
        else q.is_observed
      end
    returning q.place, row(
      q.quota, q.tenant_id, q.call_usd, q.cost_usd, row(b.quota_id, b.period_start, b.slot)::spend.reservation_hold,
      b.is_below_threshold, null, null
    )::spend_private.batched_quota as quota
  )

  select coalesce(array_agg(h.quota order by h.place), '{}') into v_held from held as h;
  if cardinality(v_held) <> cardinality(p_quotas) then
    raise exception using errcode = 'SGROO', message = 'no_room_left';
  end if;
  return v_held;
exception
  -- Leaving the block undoes everything: what follows locks in order from the start, and waits.
  when sqlstate 'SGROO' or lock_not_available then
    return null;
end;
$$;
comment on function spend_private.hold_together is
  'hold_at_once for a batch: holds the cost of each quota in one of its slots, by one statement that locks them in their order; or in none of them (null).';

create function spend_private.hold_batched(p_quota spend_private.batched_quota)
returns spend_private.batched_quota
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_quota spend_private.applicable_quota := p_quota.quota;
  v_holding spend_private.holding;
  v_limit_usd numeric;
  v_used_usd numeric;
begin
  -- In a free slot; in one that it waits for; by all of them.
  v_quota.has_room := true;
  foreach v_quota.is_contended in array array[false, true] loop
    v_holding := spend_private.hold(array[v_quota], p_quota.cost_usd, true);
    if v_holding.full_place is null then
      p_quota.hold := v_holding.holds[1];
      p_quota.is_below_threshold := v_holding.at_threshold = '{}';
      return p_quota;
    end if;
  end loop;

  perform spend_private.lock_all_slots(v_quota.quota_id, v_quota.period_start);
  select q.limit_usd into v_limit_usd from spend.cost_quotas as q where q.id = v_quota.quota_id;
  select sum(b.spent_usd + b.reserved_usd) into v_used_usd
  from spend_private.quota_balances as b
  where b.quota_id = v_quota.quota_id and b.period_start = v_quota.period_start;
  -- A quota that was deleted a moment ago limits nothing any more.
  p_quota.room_usd := coalesce(v_limit_usd - v_used_usd, 'infinity');
  return p_quota;
exception
  when lock_not_available then
    p_quota.error := spend_private.busy_answer(jsonb_build_object('quota_id', v_quota.quota_id));
    return p_quota;
end;
$$;
comment on function spend_private.hold_batched is
  'Holds the cost of the calls of a batch in one quota: in a slot with room, free or waited for. Where none has room for all of them: locks all slots, and says what is left.';

create function spend_private.decide_calls(
  p_batch spend_private.batched_call[],
  p_quotas spend_private.batched_quota[]
)
returns spend_private.batched_call[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_ids bigint[] := array(select (q.quota).quota_id from unnest(p_quotas) with ordinality as q order by q.ordinality);
  v_call spend_private.batched_call;
  v_cost_usd numeric;
  v_quota spend_private.applicable_quota;
  v_at integer;
begin
  for v_place in 1..cardinality(p_batch) loop
    v_call := p_batch[v_place];
    continue when not v_call.is_pending;
    v_cost_usd := (v_call.call).cost_usd;
    foreach v_quota in array v_call.quotas loop
      v_at := array_position(v_ids, v_quota.quota_id);
      v_call.error := p_quotas[v_at].error;
      -- A call that costs nothing exceeds no limit.
      if v_call.error is null and v_quota.is_enforced and coalesce((v_call.request).enforce, true)
        and v_cost_usd > 0 and v_cost_usd > p_quotas[v_at].room_usd
      then
        v_quota.has_room := false;
        v_call.quotas := array[v_quota];
        v_call.answer.allowed := false;
      end if;
      v_call.is_pending := v_call.error is null and (v_call.answer).allowed is null;
      exit when not v_call.is_pending;
    end loop;
    if v_call.is_pending then
      foreach v_quota in array v_call.quotas loop
        v_at := array_position(v_ids, v_quota.quota_id);
        p_quotas[v_at].room_usd := p_quotas[v_at].room_usd - v_cost_usd;
      end loop;
    end if;
    p_batch[v_place] := v_call;
  end loop;
  return p_batch;
end;
$$;
comment on function spend_private.decide_calls is
  'Admits or refuses the pending calls of a batch in their order, by the room of the quotas whose slots are all locked. A refused one has the quota that refuses it, and still lacks the rest of its answer.';

create function spend_private.adjust_holds(
  p_quotas spend_private.batched_quota[],
  p_admitted spend_private.batched_quota[]
)
returns spend_private.batched_quota[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_quota spend_private.batched_quota;
  v_cost_usd numeric;
  v_slot integer;
  v_held spend_private.batched_quota[] := '{}';
begin
  foreach v_quota in array p_quotas loop
    v_cost_usd := (select a.cost_usd from unnest(p_admitted) as a where (a.quota).quota_id = (v_quota.quota).quota_id);
    if (v_quota.hold).quota_id is not null then
      if v_quota.cost_usd > coalesce(v_cost_usd, 0) then
        perform spend_private.move_balances(array[v_quota.hold], coalesce(v_cost_usd, 0) - v_quota.cost_usd, 0);
      end if;
    elsif v_cost_usd is not null then
      v_slot := spend_private.make_room(
        (v_quota.quota).quota_id, (v_quota.quota).period_start, pg_backend_pid() % (v_quota.quota).slots, v_cost_usd, false
      );
      v_quota.hold := row((v_quota.quota).quota_id, (v_quota.quota).period_start, v_slot);
      update spend_private.quota_balances as b set reserved_usd = b.reserved_usd + v_cost_usd
      where b.quota_id = (v_quota.hold).quota_id and b.period_start = (v_quota.hold).period_start
        and b.slot = (v_quota.hold).slot
      returning b.is_below_threshold into v_quota.is_below_threshold;
    end if;
    v_held := v_held || v_quota;
  end loop;
  return v_held;
end;
$$;
comment on function spend_private.adjust_holds is
  'After some calls of a batch were refused: holds in each quota what those that are admitted cost (p_admitted), and no more. All of these balances are locked already.';

create function spend_private.admit_calls(
  p_batch spend_private.batched_call[],
  p_quotas spend_private.batched_quota[],
  p_now timestamptz
)
returns spend_private.batched_call[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_call spend_private.batched_call;
  v_request spend_private.call_request;
  v_warnings spend.quota_details[];
begin
  for v_place in 1..cardinality(p_batch) loop
    v_call := p_batch[v_place];
    if not (v_call.answer).allowed and (v_call.answer).reason is null then
      v_call.answer := spend_private.refusal(v_call.quotas, v_call.call, true, p_now);
      p_batch[v_place] := v_call;
    end if;
  end loop;
  v_warnings := spend_private.record_batch(p_batch, p_quotas, p_now);

  for v_place in 1..cardinality(p_batch) loop
    v_call := p_batch[v_place];
    continue when not v_call.is_pending;
    v_request := v_call.request;
    v_call.answer := row(
      true, spend_private.new_reservation_id(v_request.tenant_id), (v_call.call).cost_usd::spend.usd,
      p_now + make_interval(secs => v_request.ttl_seconds), null, null, null, null,
      spend_private.warnings_for(
        v_warnings, array(select q.quota_id from unnest(v_call.quotas) as q), (v_call.call).cost_usd
      ),
      false
    );
    p_batch[v_place] := v_call;
  end loop;
  perform spend_private.insert_reservations(p_batch, p_quotas, p_now);

  -- What the batch itself holds may end first.
  for v_place in 1..cardinality(p_batch) loop
    v_call := p_batch[v_place];
    continue when (v_call.answer).reason is distinct from 'in_flight' or (v_call.answer).replayed;
    v_call.answer.retry_after := spend_private.seconds_until_hold_ends(
      ((v_call.answer).quota).scope, (v_call.call).tenant_id, (v_call.call).user_id, p_now
    );
    p_batch[v_place] := v_call;
  end loop;
  return p_batch;
end;
$$;
comment on function spend_private.admit_calls is
  'Answers the calls of a batch that were decided on, records the alerts, and writes the reservations. p_quotas: where they are held.';

create function spend_private.record_batch(
  p_batch spend_private.batched_call[],
  p_quotas spend_private.batched_quota[],
  p_now timestamptz
)
returns spend.quota_details[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_step record;
  v_quota spend_private.batched_quota;
  v_call spend_private.batched_call;
  v_warnings spend.quota_details[] := '{}';
begin
  for v_step in
    select s.quota_place, s.call_place
    from (
      select (n.hold).quota_id, n.ordinality as quota_place, null::bigint as call_place
      from unnest(p_quotas) with ordinality as n
      where not n.is_below_threshold
      union all
      select ((b.answer).quota).quota_id, null, b.ordinality
      from unnest(p_batch) with ordinality as b
      where not (b.answer).allowed and not (b.answer).replayed
    ) as s
    left join spend.cost_quotas as q on q.id = s.quota_id
    -- Who records an alert waits for others who record the same: in one order, as balances are locked.
    order by spend_private.lock_rank(q.scope), s.quota_id, s.call_place
  loop
    if v_step.quota_place is not null then
      v_quota := p_quotas[v_step.quota_place];
      v_warnings := v_warnings || spend_private.record_warnings(
        v_quota.tenant_id, array[v_quota.hold], v_quota.call_usd, p_now
      );
    else
      v_call := p_batch[v_step.call_place];
      perform spend_private.keep_refusal(
        (v_call.request).tenant_id, (v_call.request).user_id, (v_call.request).idempotency_key, v_call.request_hash,
        spend_private.refused(v_call.call, v_call.answer, v_call.quotas), p_now
      );
    end if;
  end loop;
  return v_warnings;
end;
$$;
comment on function spend_private.record_batch is
  'Records the refusals of a batch, and the alerts of all its quotas, in lock order. Returns the quotas that are at or above their warning threshold.';

create function spend_private.warnings_for(
  p_warnings spend.quota_details[],
  p_quota_ids bigint[],
  p_cost_usd numeric
)
returns spend.quota_details[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_details spend.quota_details;
  v_warnings spend.quota_details[] := '{}';
begin
  foreach v_details in array p_warnings loop
    continue when v_details.quota_id <> all (p_quota_ids);
    v_details.estimated_cost_usd := p_cost_usd;
    v_warnings := v_warnings || v_details;
  end loop;
  return v_warnings;
end;
$$;
comment on function spend_private.warnings_for is
  'Of the warnings of a batch, those about the quotas of one of its calls, which costs p_cost_usd.';

create function spend_private.insert_reservations(
  p_batch spend_private.batched_call[],
  p_quotas spend_private.batched_quota[],
  p_now timestamptz
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
as $$
begin
  insert into spend.reservations (
    tenant_id, id, user_id, resource_type, provider, product, task, conversation_id, path_id,
    idempotency_key, request_hash, usage_estimate, estimated_cost_usd, holds, price_ids, priced_as, price_version,
    warnings, metadata, created_at, expires_at
  )
  select
    (b.call).tenant_id, (b.answer).reservation_id, (b.call).user_id, (b.call).resource_type, (b.call).provider,
    (b.call).product, (b.call).task, (b.request).conversation_id, (b.request).path_id,
    (b.request).idempotency_key, b.request_hash, (b.call).usage, (b.call).cost_usd,
    array(
      select h.hold
      from unnest(b.quotas) with ordinality as n
      join unnest(p_quotas) as h on (h.quota).quota_id = n.quota_id
      order by n.ordinality
    ),
    (b.call).price_ids, (b.call).priced_as, (b.call).price_version,
    (b.answer).warnings, coalesce((b.request).metadata, '{}'), p_now, (b.answer).expires_at
  from unnest(p_batch) as b
  where b.is_pending;
end;
$$;
comment on function spend_private.insert_reservations is
  'Writes the reservations of the calls of a batch that are admitted, each with the balances that hold it (p_quotas).';
