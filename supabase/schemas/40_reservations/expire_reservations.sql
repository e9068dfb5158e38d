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
  'Books up to max_rows reservations whose time is over at their estimate (kind expiry) and gives their holds back; returns how many. Nobody said what they cost, and unknown is not zero; a late settle corrects. May run beside traffic and beside itself. One that cannot be booked does not keep the others: spend.problems says why, and it is tried again later. For service_role.';
grant execute on function spend.expire_reservations to service_role;

create function spend_private.expire_reservations(
  p_max_rows integer default 1000,
  p_now timestamptz default now()
)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_passed_over uuid[] := '{}';
  v_due spend_private.due_hold[];
  v_done integer := 0;
begin
  -- Before the tenants' locks, which are only tried, as this one is: while the platform's quotas are being changed there
  -- is nothing to do.
  begin
    lock table spend.reservations in row exclusive mode nowait;
  exception
    when lock_not_available then
      return 0;
  end;
  perform spend_private.resolve_expiries(p_now);
  -- Each turn passes over more tenants, those whose quotas or balances are locked just now: nobody waits for them.
  for v_turn in 1..10 loop
    v_due := spend_private.due_holds(p_max_rows, v_passed_over, p_now);
    exit when v_due is null;
    v_passed_over := v_passed_over
      || array(select distinct d.tenant_id from unnest(v_due) as d where not d.is_joined);
    v_due := array(select d from unnest(v_due) as d where d.is_joined);
    continue when v_due = '{}';

    v_done := spend_private.expire_batch(v_due, p_now);
    -- Its balances are locked now, the platform's too: another turn would lock others' after them, against the order of
    -- calls. What is left is for the next run.
    exit when v_done > 0;
    -- Whose were not booked now, they are not in the way of others.
    v_passed_over := v_passed_over || array(
      select distinct d.tenant_id
      from unnest(v_due) as d
      join spend.reservations as r on r.tenant_id = d.tenant_id and r.id = d.id
      where r.status = 'held'
    );
  end loop;
  return v_done;
end;
$$;
comment on function spend_private.expire_reservations is
  'spend.expire_reservations with a clock.';

create type spend_private.due_hold as (
  tenant_id uuid,
  id uuid,
  is_joined boolean
);
comment on type spend_private.due_hold is
  'A reservation that is to expire. is_joined: its tenant''s quotas are not being changed, and will not be until the transaction ends.';

create function spend_private.due_holds(
  p_max_rows integer,
  p_passed_over uuid[],
  p_now timestamptz
)
returns spend_private.due_hold[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- Walks the index until it has found enough: a bitmap would be gathered from all of it first.
set enable_bitmapscan = 'off'
as $$
begin
  return (
    with due as materialized (
      select r.tenant_id, r.id, r.expires_at
      from spend.reservations as r
      where r.status = 'held' and r.expires_at <= p_now and r.tenant_id <> all (p_passed_over)
        -- One that failed is not the first in line for ever.
        and not exists (
          select from spend.problems as p
          where p.job = 'expire_reservations' and p.subject = spend_private.hold_subject(r.tenant_id, r.id)
            and p.resolved_at is null and p.retry_at > p_now
        )
      order by r.expires_at
      limit greatest(p_max_rows, 0)
    ),

    joined as materialized (
      select t.tenant_id, spend_private.try_join_calls(spend_private.tenant_key(t.tenant_id)) as is_joined
      from (select distinct d.tenant_id from due as d) as t
    )

    select array_agg(row(d.tenant_id, d.id, j.is_joined)::spend_private.due_hold order by d.tenant_id, d.expires_at)
    from due as d
    join joined as j on j.tenant_id = d.tenant_id
  );
end;
$$;
comment on function spend_private.due_holds is
  'Reservations to expire, the oldest p_max_rows, by tenant; null when there are none. Left out: those of p_passed_over, and those that failed a moment ago. Joins the calls of their tenants.';

create function spend_private.hold_subject(p_tenant_id uuid, p_id uuid)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return p_tenant_id || '/' || p_id;
end;
$$;
comment on function spend_private.hold_subject is
  'Subject of a problem with a reservation: tenant/reservation.';

create function spend_private.expire_batch(p_due spend_private.due_hold[], p_now timestamptz)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.expire_together(p_due, p_now);
exception
  -- From here on nothing is waited for: the halves lock their balances one after the other, not in the order of calls.
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
        -- Of a quota that was deleted: there is no balance to lock.
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
  'Locks what it can of the balances that reservations are held in, without waiting, and returns those of p_due of which it has all.';

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
  'Expires reservations by halves, so that the ones that cannot be booked are found in a few steps and go to spend.problems; the others are booked. The caller has locked their balances.';

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
    -- Whoever is settling one right now goes first.
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

  -- Last of all: what others wait for is locked for the shortest time.
  perform spend_private.expire_holds(v_expired);
  return cardinality(v_expired);
end;
$$;
comment on function spend_private.expire_together is
  'Books reservations at their estimate, all or none, and returns how many: those that are not being settled.';

create function spend_private.resolve_expiries(p_now timestamptz)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  update spend.problems as p set resolved_at = p_now
  where p.job = 'expire_reservations' and p.resolved_at is null and p.subject <> 'job'
    and not exists (
      select from spend.reservations as r
      where r.tenant_id = (p.details ->> 'tenant_id')::uuid and r.id = (p.details ->> 'reservation_id')::uuid
        and r.status = 'held'
    );
end;
$$;
comment on function spend_private.resolve_expiries is
  'Closes the problems of reservations that have ended since: expired, settled or released.';

create function spend_private.expire_holds(p_expired spend.reservations[])
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
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
