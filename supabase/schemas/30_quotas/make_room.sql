create function spend_private.make_room(
  p_quota_id bigint,
  p_period_start timestamptz,
  p_slot integer,
  p_cost_usd numeric,
  p_is_enforced boolean
)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_slot integer;
  v_limit_usd numeric;
  v_used_usd numeric;
begin
  perform spend_private.lock_all_slots(p_quota_id, p_period_start);

  -- A change of the limit needs the same locks: the limit that is read here is in force.
  select q.limit_usd, u.used_usd, p_slot % u.slots
  into v_limit_usd, v_used_usd, v_slot
  from (
    select sum(b.spent_usd + b.reserved_usd) as used_usd, count(*) as slots
    from spend_private.quota_balances as b
    where b.quota_id = p_quota_id and b.period_start = p_period_start
  ) as u
  join spend.cost_quotas as q on q.id = p_quota_id
  where u.slots > 0;
  if not found then
    return p_slot; -- The quota was deleted a moment ago: it limits nothing any more.
  end if;

  -- A call that costs nothing exceeds no limit, but a limit of 0 refuses it.
  if p_is_enforced and ((p_cost_usd > 0 and v_used_usd + p_cost_usd > v_limit_usd) or v_limit_usd = 0) then
    return null;
  end if;
  perform spend_private.allot(p_quota_id, p_period_start, v_slot, p_cost_usd);
  return v_slot;
end;
$$;
comment on function spend_private.make_room is
  'Locks all slots in order, decides by their sum, and moves allotment to p_slot so that the call fits there; null when the quota has no room.';
