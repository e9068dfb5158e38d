create function spend_private.rebase_quota(p_quota_id bigint)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota spend.cost_quotas;
  v_bounds tstzrange;
  v_spent_usd numeric;
  v_reserved_usd numeric;
begin
  -- Running calls end first, and new ones wait until this transaction does: what is counted below is all there is.
  lock table spend.reservations in share row exclusive mode;

  -- The quota before its balances, as every change of a limit.
  select * into v_quota from spend.cost_quotas as q where q.id = p_quota_id for no key update;
  v_bounds := spend_private.quota_bounds(v_quota);
  delete from spend_private.quota_balances as b
  where b.quota_id = p_quota_id and b.period_end > now();

  v_spent_usd := spend_private.ledger_usd(v_quota, lower(v_bounds), upper(v_bounds));

  -- The calls of the period count in the new balance from now on, and where a late settle may come, so will it.
  with counted as (
    update spend.reservations as r set
      holds = spend_private.put_hold(
        r.holds, p_quota_id, lower(v_bounds),
        (v_quota.tenant_id is null or r.tenant_id = v_quota.tenant_id)
        and (v_quota.scope <> 'user' or r.user_id = v_quota.scope_id)
        and v_quota.resource_type in ('all', r.resource_type)
        and (v_quota.task is null or r.task = v_quota.task)
        and (v_quota.product is null or r.product = v_quota.product)
        and r.created_at >= lower(v_bounds) and r.created_at < upper(v_bounds)
      )
    where r.status <> 'settled'
      and (v_quota.tenant_id is null or r.tenant_id = v_quota.tenant_id)
      and (r.status = 'held' or r.created_at >= lower(v_bounds))
    returning r.status, r.holds, r.estimated_cost_usd
  )
  select coalesce(sum(c.estimated_cost_usd), 0) into v_reserved_usd
  from counted as c
  where c.status = 'held' and exists (
    select from unnest(c.holds) as h
    where h.quota_id = p_quota_id and h.period_start = lower(v_bounds)
  );

  perform spend_private.open_balances(p_quota_id, now(), v_spent_usd, v_reserved_usd);
end;
$$;
comment on function spend_private.rebase_quota is
  'Opens the current balance of a quota anew, from the ledger and the open reservations. For quotas that are new or count something else than before; balances of periods that have ended stay.';

create function spend_private.put_hold(
  p_holds spend.reservation_hold[],
  p_quota_id bigint,
  p_period_start timestamptz,
  p_counts boolean
)
returns spend.reservation_hold[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce((
    select array_agg(
      row(h.quota_id, h.period_start, h.slot)::spend.reservation_hold
      order by spend_private.lock_rank(q.scope), h.quota_id
    )
    from (
      -- Balances of this quota that are still there are of ended periods, and stay.
      select o.quota_id, o.period_start, o.slot
      from unnest(p_holds) as o
      where o.quota_id <> p_quota_id or exists (
        select from spend_private.quota_balances as b
        where b.quota_id = o.quota_id and b.period_start = o.period_start
      )
      union all
      select p_quota_id, p_period_start, 0 where p_counts
    ) as h
    join spend.cost_quotas as q on q.id = h.quota_id
  ), '{}');
end;
$$;
comment on function spend_private.put_hold is
  'Holds of a reservation after a quota was counted anew: without its deleted balances, and with the new one where the reservation counts in it; in lock order.';
