create function spend_private.free_slot(
  p_quota_id bigint,
  p_period_start timestamptz,
  p_slots integer,
  p_cost_usd numeric,
  p_is_observed boolean
)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- Walks the index until it has found enough: a bitmap would be gathered from all of it first.
set enable_bitmapscan = 'off'
as $$
begin
  return (
    select f.slot
    -- Each connection starts at a slot of its own, so that connections rarely meet.
    from (values (pg_backend_pid() % p_slots), (0)) as start (slot)
    cross join lateral (
      select b.slot
      from spend_private.quota_balances as b
      where b.quota_id = p_quota_id and b.period_start = p_period_start and b.slot >= start.slot
        and case
          when b.is_split then b.allotted_usd - b.spent_usd - b.reserved_usd >= p_cost_usd
          else p_is_observed
        end
      order by b.slot
      limit 1
      for no key update skip locked
    ) as f
    limit 1
  );
end;
$$;
comment on function spend_private.free_slot is
  'Locks a slot with room that nobody has locked, and returns it; null when there is none. p_is_observed: the quota cannot refuse, so any slot will do where it is over its limit.';
