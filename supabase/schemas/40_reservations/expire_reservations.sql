create function spend.expire_reservations(max_rows integer default 1000)
returns integer
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.expire_reservations(expire_reservations.max_rows);
end;
$$;
comment on function spend.expire_reservations is
  'Books up to max_rows reservations whose time is over at their estimate (kind expiry) and gives their holds back; returns how many. Nobody said what they cost, and unknown is not zero; a late settle corrects. May run beside traffic and beside itself. For service_role.';
grant execute on function spend.expire_reservations to service_role;

create function spend_private.expire_reservations(
  p_max_rows integer default 1000,
  p_now timestamptz default now()
)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_expired spend.reservations[];
begin
  lock table spend.reservations in row exclusive mode;
  select array_agg(e.reservation) into v_expired
  from (
    -- Whoever is settling one right now goes first.
    select r as reservation
    from spend.reservations as r
    where r.status = 'held' and r.expires_at <= p_now
    order by r.expires_at
    limit greatest(p_max_rows, 0)
    for no key update skip locked
  ) as e;
  if v_expired is null then
    return 0;
  end if;

  insert into spend.cost_events (
    tenant_id, occurred_at, booked_at, kind, reservation_id, user_id, conversation_id, path_id,
    task, resource_type, provider, product, usage, cost_usd, price_ids, is_estimated, metadata
  )
  select
    e.tenant_id, e.created_at, p_now, 'expiry', e.id, e.user_id, e.conversation_id, e.path_id,
    e.task, e.resource_type, e.provider, e.product, e.usage_estimate, e.estimated_cost_usd,
    e.price_ids, true, e.metadata
  from unnest(v_expired) as e;

  update spend.reservations as r set
    status = 'expired', actual_cost_usd = r.estimated_cost_usd, is_estimated = true, ended_at = p_now
  from unnest(v_expired) as e
  where r.tenant_id = e.tenant_id and r.id = e.id;

  -- Last of all: what others wait for is locked for the shortest time.
  perform spend_private.expire_holds(v_expired);
  return cardinality(v_expired);
end;
$$;
comment on function spend_private.expire_reservations is
  'spend.expire_reservations with a clock.';

create function spend_private.expire_holds(p_expired spend.reservations[])
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_hold record;
begin
  for v_hold in
    select h.quota_id, h.period_start, h.slot, sum(e.estimated_cost_usd) as usd
    from unnest(p_expired) as e
    cross join lateral unnest(e.holds) as h
    join spend.cost_quotas as q on q.id = h.quota_id
    group by q.tenant_id, q.scope_id, q.scope, h.quota_id, h.period_start, h.slot
    -- The lock order of reserve, over the whole batch.
    order by spend_private.lock_rank(q.scope), h.quota_id, h.period_start, h.slot
  loop
    perform spend_private.move_balances(
      array[row(v_hold.quota_id, v_hold.period_start, v_hold.slot)::spend.reservation_hold],
      -v_hold.usd, v_hold.usd
    );
  end loop;
end;
$$;
comment on function spend_private.expire_holds is
  'Turns the holds of a batch of reservations into spend, each balance once, in lock order.';
