create type spend_private.holding as (
  holds spend.reservation_hold[],
  at_threshold spend.reservation_hold[],
  full_place integer
);
comment on type spend_private.holding is
  'Balances that hold a call, in lock order. at_threshold: those whose quotas may be at or above the warning threshold. full_place: nothing is held, since the quota at this place has no room, or no slot with room that is free.';

create function spend_private.hold_at_once(
  p_quotas spend_private.applicable_quota[],
  p_cost_usd numeric,
  p_enforce boolean
)
returns spend_private.holding
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- Walks the index until it has found enough: a bitmap would be gathered from all of it first.
set enable_bitmapscan = 'off'
-- A nested loop alone takes the quotas in their order, which is the lock order.
set enable_hashjoin = 'off'
set enable_mergejoin = 'off'
as $$
declare
  v_holding spend_private.holding := row('{}', '{}', null);
  v_quota_id bigint;
  v_period_start timestamptz;
  v_slot integer;
  v_is_below_threshold boolean;
begin
  if p_quotas[1].slots = 1 and pg_current_xact_id_if_assigned() is null then
    perform spend_private.await_turn(p_quotas[1].quota_id);
  end if;
  for v_quota_id, v_period_start, v_slot, v_is_below_threshold in
    update spend_private.quota_balances as b set reserved_usd = b.reserved_usd + p_cost_usd
    from (
      select
        q.quota_id, q.period_start, not (p_enforce and q.is_enforced) as is_observed,
        -- Each connection starts at a slot of its own, so that connections rarely meet. The only slot is waited for.
        case when q.slots = 1 then 0 else (
          select f.slot
          from (values (pg_backend_pid() % q.slots), (0)) as start (slot)
          cross join lateral (
            select o.slot
            from spend_private.quota_balances as o
            where o.quota_id = q.quota_id and o.period_start = q.period_start and o.slot >= start.slot
              and case
                when o.is_split then o.allotted_usd - o.spent_usd - o.reserved_usd >= p_cost_usd
                else not (p_enforce and q.is_enforced)
              end
            order by o.slot
            limit 1
            for no key update skip locked
          ) as f
          limit 1
        ) end as slot
      from unnest(p_quotas) as q
      -- Not merged into the join: the search must run once for each quota.
      offset 0
    ) as q
    -- Not "=": that would let a nested loop begin with the balances, in the order of the index, and search again for each.
    where b.quota_id = any (array[q.quota_id]) and b.period_start = q.period_start and b.slot = q.slot
      -- The only slot may have lost its room while it was waited for.
      and case
        when b.is_split then b.allotted_usd - b.spent_usd - b.reserved_usd >= p_cost_usd
        else q.is_observed
      end
    returning b.quota_id, b.period_start, b.slot, b.is_below_threshold
  loop
    v_holding.holds := v_holding.holds || row(v_quota_id, v_period_start, v_slot)::spend.reservation_hold;
    if not v_is_below_threshold then
      v_holding.at_threshold := v_holding.at_threshold || row(v_quota_id, v_period_start, v_slot)::spend.reservation_hold;
    end if;
  end loop;
  if cardinality(v_holding.holds) <> cardinality(p_quotas) then
    raise exception using errcode = 'SGROO', message = 'no_room_left';
  end if;
  return v_holding;
exception
  -- Leaving the block undoes everything: who waits for a slot of one quota must not hold one of a later quota.
  when sqlstate 'SGROO' then
    v_holding.full_place := 1;
    while v_holding.holds[v_holding.full_place].quota_id = p_quotas[v_holding.full_place].quota_id loop
      v_holding.full_place := v_holding.full_place + 1;
    end loop;
    return v_holding;
end;
$$;
comment on function spend_private.hold_at_once is
  'Holds p_cost_usd in one slot of each quota, all of which have room, by one statement that locks them in their order, after its turn at the first where that has one slot (await_turn); or in none of them (full_place), when one has no slot with room that nobody has locked.';

create function spend_private.hold(
  p_quotas spend_private.applicable_quota[],
  p_cost_usd numeric,
  p_enforce boolean
)
returns spend_private.holding
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_holding spend_private.holding := row('{}', '{}', null);
  v_quota spend_private.applicable_quota;
  v_is_observed boolean;
  v_first integer;
  v_slot integer;
  v_is_below_threshold boolean;
  v_hold spend.reservation_hold;
begin
  foreach v_quota in array p_quotas loop
    v_is_observed := not (p_enforce and v_quota.is_enforced);
    -- Each connection starts at a slot of its own, so that connections rarely meet.
    v_first := pg_backend_pid() % v_quota.slots;
    v_slot := case
      when not v_quota.has_room then spend_private.make_room(
        v_quota.quota_id, v_quota.period_start, v_first, p_cost_usd, not v_is_observed
      )
      when v_quota.slots = 1 then 0
      when v_quota.is_contended then spend_private.slot_with_room(
        v_quota.quota_id, v_quota.period_start, v_first, p_cost_usd, v_is_observed
      )
      else spend_private.free_slot(
        v_quota.quota_id, v_quota.period_start, v_quota.slots, p_cost_usd, v_is_observed
      )
    end;
    update spend_private.quota_balances as b set reserved_usd = b.reserved_usd + p_cost_usd
    where b.quota_id = v_quota.quota_id and b.period_start = v_quota.period_start and b.slot = v_slot
      and (
        not v_quota.has_room
        or case
          when b.is_split then b.allotted_usd - b.spent_usd - b.reserved_usd >= p_cost_usd
          else v_is_observed
        end
      )
    returning b.is_below_threshold into v_is_below_threshold;
    -- A quota that was just deleted has no balance and no limit: make_room returned its slot all the same.
    if v_is_below_threshold is null and (v_quota.has_room or v_slot is null) then
      v_holding.full_place := cardinality(v_holding.holds) + 1;
      raise exception using errcode = 'SGROO', message = 'no_room_left';
    end if;

    v_hold := row(v_quota.quota_id, v_quota.period_start, v_slot);
    v_holding.holds := v_holding.holds || v_hold;
    if not v_is_below_threshold then
      v_holding.at_threshold := v_holding.at_threshold || v_hold;
    end if;
  end loop;
  return v_holding;
exception
  -- Leaving the block undoes everything, also the lock of a slot that turned out to have no room: a transaction that
  -- waits for slots in order must not hold a later one.
  when sqlstate 'SGROO' then
    return v_holding;
end;
$$;
comment on function spend_private.hold is
  'Holds p_cost_usd in one slot of each quota, in their order, or in none of them. In a quota that has_room: in a slot that nobody has locked, or, where it is_contended, in one that it waits for. In another: locks all slots, and makes room where the quota has some. A quota that cannot refuse the call and is over its limit (not is_split) takes it in any slot: its allotments say nothing.';
