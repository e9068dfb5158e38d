create function spend_private.expire_batch(p_due spend_private.due_hold[], p_now timestamptz)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.expire_together(p_due, p_now);
exception
  -- No waiting from here on: the halves lock their balances one after the other, not in lock order.
  when others then
    return coalesce(spend_private.expire_apart(spend_private.lock_due_balances(p_due), p_now), 0);
end;
$$;
comment on function spend_private.expire_batch is
  'Expires a batch and returns how many it booked: all together, as long as that works; else those whose balances nobody has locked, without the ones that fail.';

create function spend_private.lock_due_balances(p_due spend_private.due_hold[])
returns spend_private.due_hold[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return (
    with held as materialized (
      select d as due, h.quota_id, h.period_start, h.slot
      from unnest(p_due) as d
      join spend.reservations as r on r.tenant_id = d.tenant_id and r.id = d.id
      left join lateral unnest(r.holds) as h on true
    ),

    locked as materialized (
      select b.quota_id, b.period_start, b.slot
      from spend_private.quota_balances as b
      where (b.quota_id, b.period_start, b.slot) in (select h.quota_id, h.period_start, h.slot from held as h)
      for no key update skip locked
    )

    select array_agg(f.due order by (f.due).tenant_id)
    from (
      select h.due
      from held as h
      group by h.due
      having bool_and(
        exists (
          select from locked as l
          where l.quota_id = h.quota_id and l.period_start = h.period_start and l.slot = h.slot
        )
        -- A deleted quota has no balance to lock.
        or not exists (
          select from spend_private.quota_balances as b
          where b.quota_id = h.quota_id and b.period_start = h.period_start and b.slot = h.slot
        )
      )
    ) as f
  );
end;
$$;
comment on function spend_private.lock_due_balances is
  'Locks the balances of reservations as far as it can without waiting, and returns those of p_due of which it has all.';

create function spend_private.expire_apart(p_due spend_private.due_hold[], p_now timestamptz)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_size integer := coalesce(cardinality(p_due), 0);
  v_constraint text;
begin
  if v_size = 0 then
    return 0;
  end if;
  return spend_private.expire_together(p_due, p_now);
exception
  when lock_not_available or deadlock_detected then
    return 0;
  when others then
    if v_size > 1 then
      return spend_private.expire_apart(p_due[:v_size / 2], p_now)
        + spend_private.expire_apart(p_due[v_size / 2 + 1:], p_now);
    end if;
    get stacked diagnostics v_constraint = constraint_name;
    perform spend_private.record_problem(
      'expire_reservations', spend_private.hold_subject(p_due[1].tenant_id, p_due[1].id), sqlerrm,
      jsonb_build_object(
        'sqlstate', sqlstate, 'constraint', v_constraint,
        'tenant_id', p_due[1].tenant_id, 'reservation_id', p_due[1].id
      ), p_now
    );
    return 0;
end;
$$;
comment on function spend_private.expire_apart is
  'Expires reservations by halves, which finds the ones that fail in a few steps: those go to spend.problems, the others are booked. The caller has locked their balances.';

create function spend_private.expire_together(p_due spend_private.due_hold[], p_now timestamptz)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_expired spend.reservations[];
begin
  select array_agg(e.reservation) into v_expired
  from (
    -- A settle that is under way goes first.
    select r as reservation
    from spend.reservations as r
    where (r.tenant_id, r.id) in (select d.tenant_id, d.id from unnest(p_due) as d)
      and r.status = 'held' and r.expires_at <= p_now
    for no key update skip locked
  ) as e;
  if v_expired is null then
    return 0;
  end if;

  insert into spend.cost_events (
    tenant_id, occurred_at, booked_at, kind, reservation_id, user_id, conversation_id, path_id,
    task, resource_type, provider, product, usage, cost_usd, calls, price_ids, is_estimated, metadata
  )
  select
    e.tenant_id, e.created_at, p_now, 'expiry', e.id, e.user_id, e.conversation_id, e.path_id,
    e.task, e.resource_type, e.provider, e.product, e.usage_estimate, e.estimated_cost_usd,
    1, e.price_ids, true, e.metadata
  from unnest(v_expired) as e;

  update spend.reservations as r set
    status = 'expired', actual_cost_usd = r.estimated_cost_usd, is_estimated = true, ended_at = p_now
  from unnest(v_expired) as e
  where r.tenant_id = e.tenant_id and r.id = e.id;

  -- Rows of its own, which no other batch waits for: spend_private.find_expiries sums them.
  insert into spend_private.expiries (tenant_id, hour, reservations, usd)
  select e.tenant_id, date_trunc('hour', p_now, 'UTC'), count(*), sum(e.estimated_cost_usd)
  from unnest(v_expired) as e
  group by e.tenant_id;

  -- Balances last: others wait for them, so they are locked for the shortest time.
  perform spend_private.move_holds(v_expired);
  return cardinality(v_expired);
end;
$$;
comment on function spend_private.expire_together is
  'Books reservations at their estimate, all or none, and returns how many: those that are not being settled.';
