create function spend_private.wrong_balances(
  p_quota_ids bigint[] default null,
  p_from_events boolean default true,
  p_now timestamptz default now()
)
returns setof spend_private.finding
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
set work_mem = '64MB'
as $$
begin
  return query
  with quota as materialized (
    select
      q.id, q.scope, q.tenant_id, q.scope_id, q.resource_type, q.period, q.task, q.product, q.slots,
      q.limit_usd * q.warning_threshold as warning_usd,
      spend_private.allotment_usd(q, true) as below_threshold_usd, spend_private.allotment_usd(q, false) as whole_usd,
      coalesce(t.time_zone, 'UTC') as time_zone, greatest(q.shape_since, t.time_zone_since) as shape_since
    from spend.cost_quotas as q
    left join spend.tenants as t on t.id = q.tenant_id
    where p_quota_ids is null or q.id = any (p_quota_ids)
  ),

  balance as materialized (
    select
      b.quota_id, b.period_start, min(b.period_end) as first_end, max(b.period_end) as last_end,
      sum(b.spent_usd) as spent_usd, sum(b.reserved_usd) as reserved_usd, sum(b.allotted_usd) as allotted_usd,
      count(*) filter (where b.slot < q.slots) as slots, min(q.slots) as right_slots,
      count(*) filter (
        where b.tenant_id <> coalesce(q.tenant_id, '00000000-0000-0000-0000-000000000000')
      ) as strange_tenants,
      bool_or(b.is_below_threshold) as is_below_threshold, bool_and(b.is_below_threshold) as is_all_below_threshold,
      bool_or(b.is_split) as is_split, bool_and(b.is_split) as is_all_split,
      bool_or(b.spent_usd + b.reserved_usd > b.allotted_usd) as is_overdrawn,
      -- A period that ended before is of another shape or time zone.
      max(b.period_end) > min(q.shape_since) as is_present
    from spend_private.quota_balances as b
    join quota as q on q.id = b.quota_id
    group by b.quota_id, b.period_start
  ),

  -- The moments whose periods are needed, each once: bounds are computed, not taken from the balance.
  moment as (
    select q.period, q.time_zone, p_now as at from quota as q
    union
    select q.period, q.time_zone, case when isfinite(b.period_start) then b.period_start else p_now end
    from balance as b
    join quota as q on q.id = b.quota_id
    where b.is_present
  ),

  bounds as materialized (
    select m.*, lower(b.bounds) as period_start, upper(b.bounds) as period_end
    from moment as m
    cross join lateral (select spend_private.period_bounds(m.period, m.time_zone, m.at) as bounds offset 0) as b
  ),

  period as materialized (
    select q.id as quota_id, b.period_start as kept_start, o.period_start, o.period_end
    from balance as b
    join quota as q on q.id = b.quota_id
    join bounds as o
      on o.period = q.period and o.time_zone = q.time_zone
      and o.at = case when isfinite(b.period_start) then b.period_start else p_now end
    where b.is_present
    union all
    select q.id, null, o.period_start, o.period_end
    from quota as q
    join bounds as o on o.period = q.period and o.time_zone = q.time_zone and o.at = p_now
    where not exists (
      select from balance as b where b.quota_id = q.id and b.period_start = o.period_start and b.is_present
    )
  ),

  spent as materialized (
    select s.quota_id, s.period_start, s.usd
    from spend_private.spent_in_periods(p_quota_ids, p_from_events, p_now, (
      select min(p.period_start) from period as p where p.period_start > '-infinity'
    )) as s
  ),

  held as materialized (
    select h.quota_id, h.period_start, h.slot, sum(r.estimated_cost_usd) as usd
    from spend.reservations as r
    cross join lateral unnest(r.holds) as h
    where r.status = 'held' and (p_quota_ids is null or h.quota_id = any (p_quota_ids))
    group by h.quota_id, h.period_start, h.slot
  ),

  slot as (
    select
      coalesce(b.quota_id, h.quota_id) as quota_id, coalesce(b.period_start, h.period_start) as period_start,
      coalesce(b.slot, h.slot) as slot, coalesce(b.usd, 0) as reserved_usd, coalesce(h.usd, 0) as held_usd
    from (
      select b.quota_id, b.period_start, b.slot, sum(b.reserved_usd) as usd
      from spend_private.quota_balances as b
      where p_quota_ids is null or b.quota_id = any (p_quota_ids)
      group by b.quota_id, b.period_start, b.slot
    ) as b
    full join held as h on h.quota_id = b.quota_id and h.period_start = b.period_start and h.slot = b.slot
  )

  select p.quota_id, coalesce(p.kept_start, p.period_start), v.column_name, v.kept, v.wanted, 'quota ' || p.quota_id
  from period as p
  join quota as q on q.id = p.quota_id
  left join balance as b on b.quota_id = p.quota_id and b.period_start = p.kept_start
  left join spent as s on s.quota_id = p.quota_id and s.period_start = p.period_start
  cross join lateral (
    select 'spent_usd' as column_name, coalesce(b.spent_usd, 0) as kept, coalesce(s.usd, 0) as wanted
    union all
    select 'period_start', extract(epoch from p.kept_start), extract(epoch from p.period_start)
    union all
    select 'period_end', extract(epoch from b.first_end), extract(epoch from p.period_end)
    union all
    select 'period_end', extract(epoch from b.last_end), extract(epoch from p.period_end)
    where b.last_end <> b.first_end
    union all
    select 'tenant_id', b.strange_tenants, 0
    union all
    -- Only open balances follow the limit and the number of slots.
    select o.column_name, o.kept, o.wanted
    from (
      select 'slots' as column_name, b.slots as kept, b.right_slots as wanted
      union all
      select 'allotted_usd', b.allotted_usd, case when b.is_all_below_threshold then q.below_threshold_usd else q.whole_usd end
      union all
      select 'is_below_threshold', 1, 0
      where b.is_below_threshold and (not b.is_all_below_threshold or b.spent_usd + b.reserved_usd >= q.warning_usd)
      union all
      -- While it is split, no slot gives more than it was allotted.
      select 'is_split', 1, 0 where b.is_split and (not b.is_all_split or b.is_overdrawn)
      union all
      -- Below the threshold there is room, and it was shared out.
      select 'is_split', 0, 1 where b.is_below_threshold and not b.is_split and b.spent_usd + b.reserved_usd < q.warning_usd
    ) as o
    where b.last_end > p_now
  ) as v
  where v.kept <> v.wanted
  union all
  select
    o.quota_id, o.period_start, 'reserved_usd', o.reserved_usd, o.held_usd,
    'quota ' || o.quota_id || ' slot ' || o.slot
  from slot as o
  where o.reserved_usd <> o.held_usd
    and exists (select from quota as q where q.id = o.quota_id);
end;
$$;
comment on function spend_private.wrong_balances is
  'Values of balances that do not follow from the ledger, the open reservations and their quota: of these quotas, or of all. Also finds a quota whose current period has spend or holds, and no balance. p_from_events: sums the events, else the roll-ups and what is not in them yet. Of balances that are older than their quota''s shape, it compares only what they hold.';

create function spend_private.orphaned_balances()
returns setof spend_private.finding
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select b.quota_id, b.period_start, 'quota_id', b.quota_id::numeric, null::numeric, 'quota ' || b.quota_id
  from spend_private.quota_balances as b
  where not exists (select from spend.cost_quotas as q where q.id = b.quota_id)
  group by b.quota_id, b.period_start;
end;
$$;
comment on function spend_private.orphaned_balances is
  'Balances whose quota does not exist: deleting it should have deleted them.';
