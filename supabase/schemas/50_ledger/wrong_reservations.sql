create function spend_private.wrong_reservations(
  p_tenant_id uuid default null,
  p_from uuid default null,
  p_until uuid default null
)
returns setof spend_private.finding
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
set work_mem = '64MB'
as $$
declare
  v_state spend_private.ledger_state;
begin
  select * into v_state from spend_private.ledger_state as s;
  return query
  select
    null::bigint, b.created_at, v.column_name, v.kept, v.wanted, 'reservation ' || b.tenant_id || '/' || b.id
  from (
    select
      r.tenant_id, r.id, r.created_at, r.status, coalesce(r.actual_cost_usd, 0) as cost_usd,
      coalesce(sum(e.cost_usd), 0) as booked_usd, coalesce(sum(e.calls), 0) as booked_calls,
      count(e.id) as events, count(e.id) filter (where e.kind = 'charge') as charges
    from spend.reservations as r
    left join spend.cost_events as e
      on e.tenant_id = r.tenant_id and e.occurred_at = r.created_at and e.reservation_id = r.id
    where r.created_at >= v_state.kept_from
      and (p_tenant_id is null or r.tenant_id = p_tenant_id)
      and (p_from is null or r.id >= p_from) and (p_until is null or r.id <= p_until)
    group by r.tenant_id, r.id
  ) as b
  cross join lateral (
    select 'actual_cost_usd' as column_name, b.cost_usd as kept, b.booked_usd as wanted
    union all
    select 'calls', (b.status in ('settled', 'expired'))::integer, b.booked_calls
    union all
    select 'charges', 1, b.charges where b.charges > 1 and b.booked_calls = 1
    union all
    select 'status', 0, b.events where b.status = 'held'
  ) as v
  where v.kept <> v.wanted
  union all
  -- A quota that counts an open call holds it too.
  select
    q.id, o.period_start, 'holds', 0, r.estimated_cost_usd, 'reservation ' || r.tenant_id || '/' || r.id
  from spend.reservations as r
  cross join lateral (
    select u.* from spend.cost_quotas as u
    where u.tenant_id = r.tenant_id and u.scope_id in (r.user_id, r.tenant_id)
    union all
    select s.* from spend.cost_quotas as s where s.tenant_id is null
  ) as q
  left join spend.tenants as t on t.id = q.tenant_id
  cross join lateral (
    select lower(p.bounds) as period_start, upper(p.bounds) as period_end,
      greatest(q.shape_since, t.time_zone_since, q.created_at) as since
    from (
      select spend_private.period_bounds(q.period, coalesce(t.time_zone, 'UTC'), r.created_at) as bounds offset 0
    ) as p
  ) as o
  where r.status = 'held'
    and (p_tenant_id is null or r.tenant_id = p_tenant_id)
    and (p_from is null or r.id >= p_from) and (p_until is null or r.id <= p_until)
    and q.resource_type in ('all', r.resource_type)
    and (q.task is null or q.task = r.task) and (q.product is null or q.product = r.product)
    -- A quota that came or changed later counts the open calls of the period that it found; in its last hour, maybe the
    -- next.
    and (o.since <= o.period_start or o.since < o.period_end - interval '1 hour')
    and not exists (
      select from unnest(r.holds) as h where h.quota_id = q.id and h.period_start = o.period_start
    );
end;
$$;
comment on function spend_private.wrong_reservations is
  'Reservations that differ from their events (cost, number of calls; open ones have none), and open ones that a quota that counts them does not hold: of a tenant, of ids from p_from to p_until, both included, or all. Without those of dropped months.';

create function spend_private.lost_reservations(
  p_tenant_id uuid default null,
  p_from timestamptz default '-infinity',
  p_before timestamptz default 'infinity'
)
returns setof spend_private.finding
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
set work_mem = '64MB'
as $$
declare
  v_state spend_private.ledger_state;
begin
  select * into v_state from spend_private.ledger_state as s;
  return query
  with lost as materialized (
    select e.tenant_id, e.reservation_id, e.occurred_at, e.cost_usd
    from spend.cost_events as e
    where e.reservation_id is not null
      and e.occurred_at >= greatest(p_from, v_state.kept_from, v_state.reservations_kept_from)
      and e.occurred_at < p_before
      and (p_tenant_id is null or e.tenant_id = p_tenant_id)
      and not exists (
        select from spend.reservations as r
        where r.tenant_id = e.tenant_id and r.id = e.reservation_id and r.created_at = e.occurred_at
      )
  )

  select
    null::bigint, l.occurred_at, 'reservation_id', 0::numeric, sum(l.cost_usd), 'reservation ' || l.tenant_id || '/' || l.reservation_id
  from lost as l
  -- Only ids that reserve made: an imported ledger has others.
  where substr(l.reservation_id::text, 15, 1) = '8'
    and spend_private.reservation_tenant_key(l.reservation_id) = spend_private.tenant_key(l.tenant_id)
  group by l.tenant_id, l.reservation_id, l.occurred_at;
end;
$$;
comment on function spend_private.lost_reservations is
  'Events whose reservation does not exist, or was made at another time: of a tenant and a span of time, or all. Without those that retention deleted (ledger_state.reservations_kept_from).';
