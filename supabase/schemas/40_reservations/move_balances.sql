create function spend_private.move_balances(
  p_holds spend.reservation_hold[],
  p_reserved_usd numeric,
  p_spent_usd numeric
)
returns spend.reservation_hold[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- A nested loop alone takes the balances in their order, which is the lock order.
set enable_hashjoin = 'off'
set enable_mergejoin = 'off'
as $$
declare
  v_at_threshold spend.reservation_hold[] := '{}';
  v_place integer;
  v_is_below_threshold boolean;
begin
  for v_place, v_is_below_threshold in
    update spend_private.quota_balances as b set
      reserved_usd = b.reserved_usd + p_reserved_usd,
      spent_usd = b.spent_usd + p_spent_usd
    from unnest(p_holds) with ordinality as h
    -- Not "=": that would let a nested loop begin with the balances, in the order of the index.
    where b.quota_id = any (array[h.quota_id]) and b.period_start = h.period_start and b.slot = h.slot
    returning h.ordinality, b.is_below_threshold
  loop
    if not v_is_below_threshold then
      v_at_threshold := v_at_threshold || p_holds[v_place];
    end if;
  end loop;
  return v_at_threshold;
end;
$$;
comment on function spend_private.move_balances is
  'Adds to what is held and spent, in USD, in each of the balances, in their order. Skips a balance whose quota was deleted. Returns those whose quotas may be at or above the warning threshold.';
