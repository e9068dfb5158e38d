create function spend.verify_balances()
returns table (
  quota_id bigint,
  period_start timestamptz,
  column_name text,
  balance_usd numeric,
  ledger_usd numeric,
  subject text
)
language plpgsql stable
-- Definer: it reads spend_private.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Stable: all of it reads one snapshot.
  return query
    select f.quota_id, f.period_start, f.column_name, f.found, f.expected, f.subject
    from spend_private.verify_quotas() as f
    union all
    select f.quota_id, f.period_start, f.column_name, f.found, f.expected, f.subject
    from spend_private.verify_holds() as f
    union all
    select f.quota_id, f.period_start, f.column_name, f.found, f.expected, f.subject
    from spend_private.verify_reservations() as f
    union all
    select f.quota_id, f.period_start, f.column_name, f.found, f.expected, f.subject
    from spend_private.verify_rollups() as f
    order by 1, 2, 3, 6;
end;
$$;
comment on function spend.verify_balances is
  'Proves the books, starting from the ledger: one row for each thing that is not what the ledger, the open reservations or the limits say; empty = all is right. Balances: quota_id, period_start, and in column_name what is wrong (spent_usd, reserved_usd, allotted_usd, period_start and period_end in seconds since 1970, slot, is_calm, is_split, tenant_id), found and as it should be. Others say in subject what they are about: reservation.… (against its events; holds that a quota misses), cost_rollups.…, conversation_rollups.…, ledger_state.rolled_up_before.
One snapshot: it may run beside traffic. spend.maintain() does the same in slices. spend.rebuild_balances repairs a quota. For service_role.';
grant execute on function spend.verify_balances to service_role;

create type spend_private.finding as (
  quota_id bigint,
  period_start timestamptz,
  column_name text,
  found numeric,
  expected numeric,
  subject text
);
comment on type spend_private.finding is
  'Line of spend.verify_balances().';

create function spend_private.verify_quotas(
  p_from bigint default 0,
  p_before bigint default 9223372036854775807,
  p_now timestamptz default now()
)
returns setof spend_private.finding
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
-- The sums are over what a period has, whatever the planner believes of it.
set enable_nestloop = 'on'
as $$
begin
  return query
  with quota as materialized (
    select
      q as quota, q.id, q.tenant_id, q.scope, q.scope_id, q.resource_type, q.task, q.product, q.period, q.slots,
      q.limit_usd, q.warning_threshold, coalesce(t.time_zone, 'UTC') as time_zone,
      greatest(q.shape_since, t.time_zone_since) as shaped_at
    from spend.cost_quotas as q
    left join spend.tenants as t on t.id = q.tenant_id
    where q.id >= p_from and q.id < p_before
  ),

  balance as materialized (
    select
      b.quota_id, b.period_start, min(b.period_end) as first_end, max(b.period_end) as last_end,
      sum(b.spent_usd) as spent_usd, sum(b.reserved_usd) as reserved_usd, sum(b.allotted_usd) as allotted_usd,
      bool_and(b.is_calm) as is_calm, bool_or(b.is_calm) as is_partly_calm,
      bool_and(b.is_split) as is_split, bool_or(b.is_split) as is_partly_split,
      array_agg(b.slot) as slots, array_agg(distinct b.tenant_id) as tenant_ids
    from spend_private.quota_balances as b
    where b.quota_id >= p_from and b.quota_id < p_before
    group by b.quota_id, b.period_start
  ),

  -- Periods as quota and zone bound them, whatever the balances say: of each balance, and the current one.
  moment as materialized (
    select distinct q.period, q.time_zone, b.period_start as at
    from quota as q
    join balance as b on b.quota_id = q.id and b.last_end > q.shaped_at
    union
    select distinct q.period, q.time_zone, p_now from quota as q
  ),

  bounds as materialized (
    select
      m.period, m.time_zone, m.at, lower(p.bounds) as starts_at, upper(p.bounds) as ends_at
    from moment as m
    cross join lateral (select spend_private.period_bounds(m.period, m.time_zone, m.at) as bounds) as p
  ),

  checked as materialized (
    select q.id, b.period_start, o.starts_at, o.ends_at, o.ends_at > p_now as is_current
    from quota as q
    join balance as b on b.quota_id = q.id and b.last_end > q.shaped_at
    join bounds as o on o.period = q.period and o.time_zone = q.time_zone and o.at = b.period_start
    union all
    select q.id, null, o.starts_at, o.ends_at, true
    from quota as q
    join bounds as o on o.period = q.period and o.time_zone = q.time_zone and o.at = p_now
    where not exists (select from balance as b where b.quota_id = q.id and b.period_start = o.starts_at)
  ),

  spent as (
    select s.quota_id, s.starts_at, s.usd from spend_private.spent_in_periods(
      array(select row(c.id, c.starts_at, c.ends_at)::spend_private.quota_period from checked as c)
    ) as s
  ),

  held as materialized (
    select h.quota_id, h.period_start, sum(r.estimated_cost_usd) as usd
    from spend.reservations as r
    cross join lateral unnest(r.holds) as h
    where r.status = 'held' and h.quota_id >= p_from and h.quota_id < p_before
    group by h.quota_id, h.period_start
  ),

  found as (
    select c.id, c.starts_at, 'spent_usd' as column_name, coalesce(b.spent_usd, 0) as found, coalesce(s.usd, 0) as expected
    from checked as c
    left join balance as b on b.quota_id = c.id and b.period_start = c.period_start
    left join spent as s on s.quota_id = c.id and s.starts_at = c.starts_at
    union all
    select
      coalesce(b.quota_id, h.quota_id), coalesce(b.period_start, h.period_start), 'reserved_usd',
      coalesce(b.reserved_usd, 0), coalesce(h.usd, 0)
    from balance as b
    full join held as h on h.quota_id = b.quota_id and h.period_start = b.period_start
    where exists (select from quota as q where q.id = coalesce(b.quota_id, h.quota_id))
    union all
    select c.id, c.period_start, w.column_name, w.found, w.expected
    from checked as c
    join quota as q on q.id = c.id
    join balance as b on b.quota_id = c.id and b.period_start = c.period_start
    cross join lateral (
      values
        ('period_start', extract(epoch from c.period_start), extract(epoch from c.starts_at)),
        ('period_end', extract(epoch from b.first_end), extract(epoch from c.ends_at)),
        ('period_end', extract(epoch from b.last_end), extract(epoch from c.ends_at)),
        (
          'tenant_id', (
            b.tenant_ids <> array[coalesce(q.tenant_id, '00000000-0000-0000-0000-000000000000')]
          )::integer, 0
        ),
        ('slot', cardinality(array(select generate_series(0, q.slots - 1) except select unnest(b.slots))), 0),
        ('is_calm', b.is_partly_calm::integer, b.is_calm::integer),
        ('is_split', b.is_partly_split::integer, b.is_split::integer),
        -- Calm: below the threshold, whatever happens within the allotments; then there is room to be split.
        ('is_calm', 1, (b.spent_usd + b.reserved_usd < q.limit_usd * q.warning_threshold or not b.is_calm)::integer),
        ('is_split', 1, (b.is_split or not b.is_calm)::integer),
        -- Split: no slot has room that the whole has not.
        ('is_split', 1, (not b.is_split or b.spent_usd + b.reserved_usd <= b.allotted_usd)::integer),
        ('allotted_usd', b.allotted_usd, spend_private.allotment_usd(q.quota, b.is_calm))
    ) as w (column_name, found, expected)
    where c.is_current
    union all
    select c.id, c.period_start, 'period_start', extract(epoch from c.period_start), extract(epoch from c.starts_at)
    from checked as c
    where not c.is_current
    union all
    select b.quota_id, b.period_start, 'period_end', extract(epoch from e.ends_at), extract(epoch from c.ends_at)
    from checked as c
    join balance as b on b.quota_id = c.id and b.period_start = c.period_start
    cross join lateral (values (b.first_end), (b.last_end)) as e (ends_at)
    where not c.is_current
    union all
    select b.quota_id, b.period_start, 'quota_id', b.quota_id, 0
    from balance as b
    where not exists (select from spend.cost_quotas as q where q.id = b.quota_id)
  )

  select distinct f.id, f.starts_at, f.column_name, f.found, f.expected, 'quota ' || f.id
  from found as f
  where f.found <> f.expected;
end;
$$;
comment on function spend_private.verify_quotas is
  'spend.verify_balances() of the balances of quotas from id p_from to before p_before. Bounds and subject come from the quota itself, so that a balance under wrong bounds, or none where something was spent, is found. Balances of an earlier shape (cost_quotas.shape_since) are compared with what is held in them alone.';

create type spend_private.quota_period as (
  quota_id bigint,
  starts_at timestamptz,
  ends_at timestamptz
);
comment on type spend_private.quota_period is
  'A quota and a period of it.';

create function spend_private.spent_in_periods(p_periods spend_private.quota_period[])
returns table (
  quota_id bigint,
  starts_at timestamptz,
  usd numeric
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_kept_from timestamptz := (select s.kept_from from spend_private.ledger_state as s);
begin
  return query
  with checked as materialized (
    select p.quota_id, p.starts_at, p.ends_at, q.tenant_id, q.scope, q.scope_id, q.resource_type, q.task, q.product
    from unnest(p_periods) as p
    join spend.cost_quotas as q on q.id = p.quota_id
  ),

  -- Each span of a tenant is summed once, for all of its quotas.
  span as materialized (
    select distinct c.tenant_id, c.starts_at, c.ends_at from checked as c
  ),

  cost as materialized (
    select s.tenant_id, s.starts_at, s.ends_at, e.user_id, e.resource_type, e.task, e.product, sum(e.cost_usd) as usd
    from span as s
    join spend.cost_events as e
      on e.tenant_id = s.tenant_id
      and e.occurred_at >= greatest(s.starts_at, v_kept_from) and e.occurred_at < s.ends_at
    group by s.tenant_id, s.starts_at, s.ends_at, e.user_id, e.resource_type, e.task, e.product
    union all
    select s.tenant_id, s.starts_at, s.ends_at, e.user_id, e.resource_type, e.task, e.product, sum(e.cost_usd)
    from span as s
    join spend.cost_events as e
      on e.occurred_at >= greatest(s.starts_at, v_kept_from) and e.occurred_at < s.ends_at
    where s.tenant_id is null
    group by s.tenant_id, s.starts_at, s.ends_at, e.user_id, e.resource_type, e.task, e.product
    union all
    -- Months that retention dropped.
    select s.tenant_id, s.starts_at, s.ends_at, h.user_id, h.resource_type, h.task, h.product, sum(h.cost_usd)
    from span as s
    join spend.hourly_costs as h
      on (s.tenant_id is null or h.tenant_id = s.tenant_id)
      and h.hour >= s.starts_at and h.hour < least(s.ends_at, v_kept_from)
    where s.starts_at < v_kept_from
    group by s.tenant_id, s.starts_at, s.ends_at, h.user_id, h.resource_type, h.task, h.product
  )

  select c.quota_id, c.starts_at, sum(o.usd)
  from checked as c
  join cost as o
    on o.tenant_id = c.tenant_id and o.starts_at = c.starts_at and o.ends_at = c.ends_at and o.user_id = c.scope_id
  where c.scope = 'user' and c.resource_type in ('all', o.resource_type)
    and (c.task is null or c.task = o.task) and (c.product is null or c.product = o.product)
  group by c.quota_id, c.starts_at
  union all
  select c.quota_id, c.starts_at, sum(o.usd)
  from checked as c
  join cost as o
    on coalesce(o.tenant_id, '00000000-0000-0000-0000-000000000000')
      = coalesce(c.tenant_id, '00000000-0000-0000-0000-000000000000')
    and o.starts_at = c.starts_at and o.ends_at = c.ends_at
  where c.scope <> 'user' and c.resource_type in ('all', o.resource_type)
    and (c.task is null or c.task = o.task) and (c.product is null or c.product = o.product)
  group by c.quota_id, c.starts_at;
end;
$$;
comment on function spend_private.spent_in_periods is
  'What the ledger says that quotas'' subjects spent in periods, in USD; no row where nothing was.';

create function spend_private.verify_holds(
  p_from uuid default '00000000-0000-0000-0000-000000000000',
  p_to uuid default 'ffffffff-ffff-ffff-ffff-ffffffffffff'
)
returns setof spend_private.finding
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
begin
  return query
  with open as materialized (
    select r.tenant_id, r.id, r.user_id, r.resource_type, r.task, r.product, r.created_at, r.holds, r.estimated_cost_usd
    from spend.reservations as r
    where r.status = 'held' and r.tenant_id >= p_from and r.tenant_id <= p_to
  ),

  wanted as materialized (
    select o.tenant_id, o.id, q.id as quota_id, b.period_start
    from open as o
    join spend.cost_quotas as q
      on (q.tenant_id is null or q.tenant_id = o.tenant_id)
      and (q.scope <> 'user' or q.scope_id = o.user_id)
      and q.resource_type in ('all', o.resource_type)
      and (q.task is null or q.task = o.task)
      and (q.product is null or q.product = o.product)
    left join spend.tenants as t on t.id = q.tenant_id
    join spend_private.quota_balances as b
      on b.quota_id = q.id and b.slot = 0 and o.created_at >= b.period_start and o.created_at < b.period_end
      and b.period_end > greatest(q.shape_since, t.time_zone_since)
  ),

  had as materialized (
    select o.tenant_id, o.id, h.quota_id, h.period_start
    from open as o
    cross join lateral unnest(o.holds) as h
    join spend.cost_quotas as q on q.id = h.quota_id
    left join spend.tenants as t on t.id = q.tenant_id
    join spend_private.quota_balances as b
      on b.quota_id = h.quota_id and b.period_start = h.period_start and b.slot = h.slot
      and b.period_end > greatest(q.shape_since, t.time_zone_since)
  )

  select
    coalesce(w.quota_id, h.quota_id), coalesce(w.period_start, h.period_start), 'reservation.holds',
    case when h.id is null then 0 else o.estimated_cost_usd end,
    case when w.id is null then 0 else o.estimated_cost_usd end,
    format('reservation %s/%s', o.tenant_id, o.id)
  from wanted as w
  full join had as h
    on h.tenant_id = w.tenant_id and h.id = w.id and h.quota_id = w.quota_id and h.period_start = w.period_start
  join open as o on o.tenant_id = coalesce(w.tenant_id, h.tenant_id) and o.id = coalesce(w.id, h.id)
  where w.id is null or h.id is null;
end;
$$;
comment on function spend_private.verify_holds is
  'spend.verify_balances() of the open reservations of tenants from p_from to p_to: each must hold its estimate in every balance that counts it, and in no other.';

create function spend_private.verify_reservations(
  p_from uuid default '00000000-0000-0000-0000-000000000000',
  p_to uuid default 'ffffffff-ffff-ffff-ffff-ffffffffffff'
)
returns setof spend_private.finding
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_kept_from timestamptz := (select s.kept_from from spend_private.ledger_state as s);
begin
  return query
  with booked as (
    select
      e.tenant_id, e.reservation_id as id, sum(e.cost_usd) as usd, sum(e.calls) as calls,
      count(*) filter (where e.kind = 'charge') as charges
    from spend.cost_events as e
    where e.reservation_id is not null and e.tenant_id >= p_from and e.tenant_id <= p_to
      and e.occurred_at >= v_kept_from
    group by e.tenant_id, e.reservation_id
  ),

  made as (
    select
      r.tenant_id, r.id, coalesce(r.actual_cost_usd, 0) as usd, (r.status in ('settled', 'expired'))::integer as calls
    from spend.reservations as r
    where r.tenant_id >= p_from and r.tenant_id <= p_to and r.created_at >= v_kept_from
  )

  select
    null::bigint, null::timestamptz, w.column_name, w.found, w.expected,
    format('reservation %s/%s', coalesce(m.tenant_id, b.tenant_id), coalesce(m.id, b.id))
  from made as m
  full join booked as b on b.tenant_id = m.tenant_id and b.id = m.id
  cross join lateral (
    values
      ('reservation.actual_cost_usd', coalesce(m.usd, 0), coalesce(b.usd, 0)),
      ('reservation.calls', coalesce(b.calls, 0)::numeric, coalesce(m.calls, 0)::numeric),
      ('reservation.charges', greatest(b.charges, 1)::numeric, 1)
  ) as w (column_name, found, expected)
  where w.found <> w.expected;
end;
$$;
comment on function spend_private.verify_reservations is
  'spend.verify_balances() of the reservations of tenants from p_from to p_to against their events: what they say they cost, that one call was counted of each that was booked, and charged once.';

create function spend_private.verify_rollups(
  p_from uuid default '00000000-0000-0000-0000-000000000000',
  p_to uuid default 'ffffffff-ffff-ffff-ffff-ffffffffffff'
)
returns setof spend_private.finding
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_state spend_private.ledger_state;
begin
  select * into v_state from spend_private.ledger_state as s;
  return query
  with late as materialized (
    -- Known to be missing: roll_up tries them again.
    select (p.details ->> 'tenant_id')::uuid as tenant_id, (p.details ->> 'booked_xid')::xid8 as booked_xid
    from spend.problems as p
    where p.job = 'roll_up' and p.resolved_at is null and p.details ? 'booked_xid'
  ),

  event as materialized (
    select
      e.tenant_id, e.hour, e.conversation_id, e.resource_type, e.provider, e.product, e.task, e.user_id,
      sum(e.cost_usd) as usd, sum(e.calls) as calls
    from spend_private.events_by_hour as e
    where e.booked_xid < v_state.rolled_up_before and e.occurred_at >= v_state.kept_from
      and e.tenant_id >= p_from and e.tenant_id <= p_to
      and not exists (select from late as l where l.tenant_id = e.tenant_id and l.booked_xid = e.booked_xid)
    group by e.tenant_id, e.hour, e.conversation_id, e.resource_type, e.provider, e.product, e.task, e.user_id
  ),

  line as (
    select
      'cost_rollups' as name,
      jsonb_build_array(e.tenant_id, e.hour, e.resource_type, e.provider, e.product, e.task, e.user_id) as key,
      0::numeric as found_usd, 0::numeric as found_calls, e.usd as expected_usd, e.calls as expected_calls
    from event as e
    union all
    select
      'cost_rollups',
      jsonb_build_array(r.tenant_id, r.hour, r.resource_type, r.provider, r.product, r.task, r.user_id),
      r.cost_usd, r.calls, 0, 0
    from spend_private.cost_rollups as r
    where r.tenant_id >= p_from and r.tenant_id <= p_to and r.hour >= v_state.kept_from
    union all
    select
      'conversation_rollups',
      jsonb_build_array(
        e.tenant_id, e.hour, e.conversation_id, e.resource_type, e.provider, e.product, e.task, e.user_id
      ),
      0, 0, e.usd, e.calls
    from event as e
    where e.conversation_id is not null
    union all
    select
      'conversation_rollups',
      jsonb_build_array(
        r.tenant_id, r.hour, r.conversation_id, r.resource_type, r.provider, r.product, r.task, r.user_id
      ),
      r.cost_usd, r.calls, 0, 0
    from spend_private.conversation_rollups as r
    where r.tenant_id >= p_from and r.tenant_id <= p_to and r.hour >= v_state.kept_from
  ),

  compared as (
    select
      l.name, l.key, sum(l.found_usd) as found_usd, sum(l.found_calls) as found_calls,
      sum(l.expected_usd) as expected_usd, sum(l.expected_calls) as expected_calls
    from line as l
    group by l.name, l.key
    having sum(l.found_usd) <> sum(l.expected_usd) or sum(l.found_calls) <> sum(l.expected_calls)
  )

  select
    null::bigint, (c.key ->> 1)::timestamptz, c.name || '.' || w.column_name, w.found, w.expected, c.name || ' ' || c.key
  from compared as c
  cross join lateral (
    values ('cost_usd', c.found_usd, c.expected_usd), ('calls', c.found_calls, c.expected_calls)
  ) as w (column_name, found, expected)
  where w.found <> w.expected
  union all
  select
    null, null, 'ledger_state.rolled_up_before', v_state.rolled_up_before::text::numeric,
    pg_snapshot_xmax(pg_current_snapshot())::text::numeric, 'ledger_state'
  where v_state.cluster_id = spend_private.cluster_id()
    and v_state.rolled_up_before > pg_snapshot_xmax(pg_current_snapshot());
end;
$$;
comment on function spend_private.verify_rollups is
  'spend.verify_balances() of the roll-ups of tenants from p_from to p_to against the events below their mark, and of the mark itself.';
