create function spend_private.correct_balances(
  p_reservation spend.reservations,
  p_usd numeric,
  p_now timestamptz
)
returns spend.reservation_hold[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_quota record;
  v_hold spend.reservation_hold;
  v_holds spend.reservation_hold[] := '{}';
begin
  for v_quota in
    select q.id, b.period_start
    from (
      select o.*
      from spend.cost_quotas as o
      where o.tenant_id = p_reservation.tenant_id and o.scope_id in (p_reservation.user_id, p_reservation.tenant_id)
      union all
      select s.* from spend.cost_quotas as s where s.tenant_id is null
    ) as q
    left join spend.tenants as t on t.id = q.tenant_id
    left join spend_private.quota_balances as b
      on b.quota_id = q.id and b.slot = 0
      and p_reservation.created_at >= b.period_start and p_reservation.created_at < b.period_end
      and b.period_end > greatest(q.shape_since, t.time_zone_since)
    where q.resource_type in (p_reservation.resource_type, 'all')
      and (q.task is null or q.task = p_reservation.task)
      and (q.product is null or q.product = p_reservation.product)
      and (b.quota_id is not null or p_reservation.created_at <@ spend_private.quota_bounds(q::spend.cost_quotas, p_now))
    order by spend_private.lock_rank(q.scope), q.id
  loop
    if v_quota.period_start is null then
      -- They open with the event that was just booked, unless another transaction has opened them: it cannot see the event.
      continue when spend_private.open_balances(v_quota.id, p_now);
      select b.period_start into v_quota.period_start
      from spend_private.quota_balances as b
      where b.quota_id = v_quota.id and b.slot = 0
        and p_reservation.created_at >= b.period_start and p_reservation.created_at < b.period_end;
      continue when not found;
    end if;
    v_hold := row(v_quota.id, v_quota.period_start, 0);
    if p_usd > 0 then
      perform spend_private.overrun_balances(array[v_hold], 0, p_usd);
    else
      perform spend_private.move_balances(array[v_hold], 0, p_usd);
    end if;
    v_holds := v_holds || v_hold;
  end loop;
  return v_holds;
end;
$$;
comment on function spend_private.correct_balances is
  'Adds p_usd, which was just booked for a reservation that had ended before, to the balances that count it now. These may not be the ones that held it: a quota that has changed was recounted from the ledger. In lock order; returns those balances.';
