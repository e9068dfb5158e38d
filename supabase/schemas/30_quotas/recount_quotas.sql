create type spend_private.recounted_quota as (
  quota spend.cost_quotas,
  bounds tstzrange
);
comment on type spend_private.recounted_quota is
  'A quota whose balances are recounted, and its period.';

create function spend_private.recount_quotas(
  p_quota_ids bigint[],
  p_tenant_ids uuid[],
  p_now timestamptz default clock_timestamp(),
  p_from_events boolean default false
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quotas spend_private.recounted_quota[] := array(
    select row(q, spend_private.quota_bounds(q, p_now))::spend_private.recounted_quota
    from spend.cost_quotas as q
    where q.id = any (p_quota_ids)
    order by q.tenant_id, q.id
  );
begin
  -- Also a period that ended a moment ago: a transaction that began in it may still spend in it, and reopens it.
  delete from spend_private.quota_balances as b
  using unnest(v_quotas) as n
  where b.quota_id = (n.quota).id
    and (b.period_end > least(now(), p_now) - interval '1 hour' or b.period_start = lower(n.bounds));
  -- Tenant by tenant, also those of the platform's quotas: no plan for one tenant may read the calls of all.
  if array_position(p_tenant_ids, null) is not null then
    p_tenant_ids := array(select distinct r.tenant_id from spend.reservations as r where r.status = 'held');
  end if;
  perform spend_private.recount_holds(v_quotas, p_tenant_ids);
  perform spend_private.recount_spend(v_quotas, p_tenant_ids, p_from_events);
end;
$$;
comment on function spend_private.recount_quotas is
  'Recounts the current balances of quotas from the ledger and the open reservations: for quotas that are new, or now count something else. p_tenant_ids: the tenants whose calls count in them, or did before, null for all; the caller has stopped these calls. Balances of periods that have ended stay. p_from_events: sums the events, even where roll-ups have the sum.';

create function spend_private.recount_holds(p_quotas spend_private.recounted_quota[], p_tenant_ids uuid[])
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_ids bigint[] := array(select (n.quota).id from unnest(p_quotas) as n);
begin
  with open as materialized (
    select r.tenant_id, r.id, r.user_id, r.resource_type, r.task, r.product, r.created_at, r.holds
    from spend.reservations as r
    where r.status = 'held' and r.tenant_id = any (p_tenant_ids)
  ),

  hold as (
    -- What is held elsewhere; and in balances of these quotas that are still there, of periods that have ended.
    select o.tenant_id, o.id, h.quota_id, h.period_start, h.slot
    from open as o
    cross join lateral unnest(o.holds) as h
    where h.quota_id <> all (v_ids) or exists (
      select from spend_private.quota_balances as b
      where b.quota_id = h.quota_id and b.period_start = h.period_start
    )
    union all
    select o.tenant_id, o.id, (n.quota).id, lower(n.bounds), 0
    from open as o
    join unnest(p_quotas) as n
      on ((n.quota).tenant_id is null or (n.quota).tenant_id = o.tenant_id)
      and ((n.quota).scope <> 'user' or (n.quota).scope_id = o.user_id)
      and (n.quota).resource_type in ('all', o.resource_type)
      and coalesce((n.quota).task, o.task) = o.task
      and coalesce((n.quota).product, o.product) = o.product
      and o.created_at >= lower(n.bounds) and o.created_at < upper(n.bounds)
  ),

  counted as (
    select
      h.tenant_id, h.id,
      array_agg(
        row(h.quota_id, h.period_start, h.slot)::spend.reservation_hold
        order by spend_private.lock_rank(q.scope), h.quota_id, h.period_start
      ) as holds
    from hold as h
    join spend.cost_quotas as q on q.id = h.quota_id
    group by h.tenant_id, h.id
  )

  update spend.reservations as r set holds = coalesce(c.holds, '{}')
  from open as o
  left join counted as c on c.tenant_id = o.tenant_id and c.id = o.id
  where r.tenant_id = o.tenant_id and r.id = o.id
    and r.holds is distinct from coalesce(c.holds, '{}');
end;
$$;
comment on function spend_private.recount_holds is
  'Makes every open reservation of these tenants hold its estimate in those of these quotas that count it in their period, and in no balance that is gone; in lock order.';

create function spend_private.recount_spend(
  p_quotas spend_private.recounted_quota[],
  p_tenant_ids uuid[],
  p_from_events boolean
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_group record;
  v_quota record;
begin
  for v_group in
    select
      (n.quota).tenant_id as tenant_id, n.bounds,
      -- An hour may be cut where the roll-ups' is not.
      p_from_events or (n.quota).period = 'hour' as from_events,
      array_agg((n.quota).id) as quota_ids,
      case when bool_and((n.quota).scope = 'user') then array_agg(distinct (n.quota).scope_id) end as user_ids
    from unnest(p_quotas) as n
    group by 1, 2, 3
  loop
    for v_quota in
      with cost as (
        select c.user_id, c.resource_type, c.task, c.product, c.cost_usd
        from spend_private.costs_between(
          v_group.tenant_id, v_group.user_ids, lower(v_group.bounds), upper(v_group.bounds), v_group.from_events
        ) as c
      ),

      spent as (
        select n.quota_id, sum(c.cost_usd) as usd
        from (
          select q.id as quota_id, q.scope_id, q.resource_type, q.task, q.product
          from spend.cost_quotas as q
          where q.id = any (v_group.quota_ids) and q.scope = 'user'
        ) as n
        join cost as c on c.user_id = n.scope_id
        where n.resource_type in ('all', c.resource_type)
          and (n.task is null or n.task = c.task) and (n.product is null or n.product = c.product)
        group by n.quota_id
        union all
        select q.id, sum(c.cost_usd)
        from spend.cost_quotas as q
        cross join cost as c
        where q.id = any (v_group.quota_ids) and q.scope <> 'user'
          and q.resource_type in ('all', c.resource_type)
          and (q.task is null or q.task = c.task) and (q.product is null or q.product = c.product)
        group by q.id
      ),

      held as (
        select s.quota_id, array_agg(row(s.slot, s.usd)::spend_private.slot_usd) as slots
        from (
          select h.quota_id, h.slot, sum(r.estimated_cost_usd) as usd
          from spend.reservations as r
          cross join lateral unnest(r.holds) as h
          where r.status = 'held' and r.tenant_id = any (p_tenant_ids)
            and h.quota_id = any (v_group.quota_ids) and h.period_start = lower(v_group.bounds)
          group by h.quota_id, h.slot
        ) as s
        group by s.quota_id
      )

      select q as quota, coalesce(s.usd, 0) as spent_usd, coalesce(h.slots, '{}') as held
      from spend.cost_quotas as q
      left join spent as s on s.quota_id = q.id
      left join held as h on h.quota_id = q.id
      where q.id = any (v_group.quota_ids)
        -- The first calls of a period wait for each other to open it: avoid that where there are few quotas.
        and (s.usd <> 0 or h.slots is not null or cardinality(v_group.quota_ids) <= 20)
      order by q.id
    loop
      perform spend_private.insert_balances(v_quota.quota, v_group.bounds, v_quota.spent_usd, v_quota.held);
    end loop;
  end loop;
end;
$$;
comment on function spend_private.recount_spend is
  'Opens the balances of up to 20 quotas; of more, only of those with spend or holds in their period: the next call opens the others.';

create function spend_private.costs_between(
  p_tenant_id uuid,
  p_user_ids uuid[],
  p_from timestamptz,
  p_before timestamptz,
  p_from_events boolean
)
returns table (
  user_id uuid,
  resource_type text,
  task text,
  product text,
  cost_usd numeric
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- A statement for each way to find the rows, planned once: planning takes in every month of the ledger.
set plan_cache_mode = 'force_generic_plan'
as $$
declare
  v_is_by_event boolean := p_from_events and p_from >= (select s.kept_from from spend_private.ledger_state as s);
begin
  if v_is_by_event and p_tenant_id is null then
    return query
      select e.user_id, e.resource_type, e.task, e.product, sum(e.cost_usd)
      from spend.cost_events as e
      where e.occurred_at >= p_from and e.occurred_at < p_before
      group by e.user_id, e.resource_type, e.task, e.product;
  elsif v_is_by_event then
    return query
      select e.user_id, e.resource_type, e.task, e.product, sum(e.cost_usd)
      from spend.cost_events as e
      where e.tenant_id = p_tenant_id and (p_user_ids is null or e.user_id = any (p_user_ids))
        and e.occurred_at >= p_from and e.occurred_at < p_before
      group by e.user_id, e.resource_type, e.task, e.product;
  elsif p_tenant_id is null then
    return query
      select h.user_id, h.resource_type, h.task, h.product, sum(h.cost_usd)
      from spend.hourly_costs as h
      where h.hour >= p_from and h.hour < p_before
      group by h.user_id, h.resource_type, h.task, h.product;
  elsif p_user_ids is null then
    return query
      select h.user_id, h.resource_type, h.task, h.product, sum(h.cost_usd)
      from spend.hourly_costs as h
      where h.tenant_id = p_tenant_id and h.hour >= p_from and h.hour < p_before
      group by h.user_id, h.resource_type, h.task, h.product;
  else
    return query
      select h.user_id, h.resource_type, h.task, h.product, sum(h.cost_usd)
      from spend.hourly_costs as h
      where h.tenant_id = p_tenant_id and h.user_id = any (p_user_ids) and h.hour >= p_from and h.hour < p_before
      group by h.user_id, h.resource_type, h.task, h.product;
  end if;
end;
$$;
comment on function spend_private.costs_between is
  'Booked cost in USD from p_from to before p_before, which are ends of periods of the tenant (null: of the platform): of these users of the tenant, or of all. By events, or by the roll-ups and what is not in them yet.';
