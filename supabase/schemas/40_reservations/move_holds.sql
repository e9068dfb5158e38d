create function spend_private.move_holds(
  p_reservations spend.reservations[],
  p_costs_usd numeric[] default null,
  p_is_first boolean default false
)
returns spend.reservation_hold[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_moved record;
  v_at_threshold spend.reservation_hold[] := '{}';
begin
  for v_moved in
    select
      row(h.quota_id, h.period_start, h.slot)::spend.reservation_hold as hold,
      sum(r.estimated_cost_usd) as reserved_usd,
      sum(coalesce(p_costs_usd[r.ordinality], r.estimated_cost_usd)) as spent_usd
    from unnest(p_reservations) with ordinality as r
    cross join lateral unnest(r.holds) as h
    join spend.cost_quotas as q on q.id = h.quota_id
    group by q.tenant_id, q.scope_id, q.scope, h.quota_id, h.period_start, h.slot
    -- The lock order of reserve, over the whole batch.
    order by spend_private.lock_rank(q.scope), h.quota_id, h.period_start, h.slot
  loop
    if p_is_first and (v_moved.hold).slot = 0 then
      perform spend_private.await_turn((v_moved.hold).quota_id);
    end if;
    p_is_first := false;
    v_at_threshold := v_at_threshold || spend_private.move_balances(
      array[v_moved.hold], -v_moved.reserved_usd, v_moved.spent_usd
    );
  end loop;
  return v_at_threshold;
end;
$$;
comment on function spend_private.move_holds is
  'Turns the holds of a batch of open reservations into spend: what each cost, or its estimate; each balance once, in lock order. Returns those whose quotas may be at or above their warning threshold. p_is_first: see book.';
