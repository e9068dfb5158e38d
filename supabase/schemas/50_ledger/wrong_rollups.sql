create function spend_private.wrong_rollups(
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
  v_from timestamptz;
  v_left_out text[];
  v_tenant_ids uuid[] := array[p_tenant_id];
begin
  select * into v_state from spend_private.ledger_state as s;
  -- After a restore into another server the mark means nothing until roll_up has adopted the ledger.
  if v_state.cluster_id is distinct from spend_private.cluster_id() then
    return;
  end if;
  v_from := greatest(p_from, v_state.kept_from);
  -- What could not be counted is reported already.
  v_left_out := array(
    select p.subject from spend.problems as p
    where p.job = 'roll_up' and p.resolved_at is null and p.details ->> 'booked_xid' is not null
  );

  if p_tenant_id is null then
    v_tenant_ids := spend_private.tenants_with_wrong_rollups(v_state.rolled_up_before, v_from, p_before, v_left_out);
    if v_tenant_ids = '{}' then
      return;
    end if;
  end if;

  return query
  with difference as (
    select
      d.tenant_id, d.hour, d.resource_type, d.provider, d.product, d.task, d.user_id,
      sum(d.kept_usd) as kept_usd, sum(d.kept_calls) as kept_calls, sum(d.usd) as usd, sum(d.calls) as calls
    from (
      select r.tenant_id, r.hour, r.resource_type, r.provider, r.product, r.task, r.user_id,
        r.cost_usd as kept_usd, r.calls as kept_calls, 0::numeric as usd, 0::bigint as calls
      from spend_private.cost_rollups as r
      where r.hour >= v_from and r.hour < p_before
        and r.tenant_id = any (v_tenant_ids)
      union all
      select e.tenant_id, e.hour, e.resource_type, e.provider, e.product, e.task, e.user_id, 0, 0, e.cost_usd, e.calls
      from spend_private.events_by_hour as e
      where e.booked_xid < v_state.rolled_up_before
        and e.occurred_at >= v_from and e.occurred_at < p_before
        and e.tenant_id = any (v_tenant_ids)
        and (v_left_out = '{}' or e.tenant_id || '/' || e.booked_xid <> all (v_left_out))
    ) as d
    group by 1, 2, 3, 4, 5, 6, 7
    having sum(d.kept_usd) <> sum(d.usd) or sum(d.kept_calls) <> sum(d.calls)
  ),

  conversation_difference as (
    select
      d.tenant_id, d.hour, d.conversation_id, d.resource_type, d.provider, d.product, d.task, d.user_id,
      sum(d.kept_usd) as kept_usd, sum(d.kept_calls) as kept_calls, sum(d.usd) as usd, sum(d.calls) as calls
    from (
      select r.tenant_id, r.hour, r.conversation_id, r.resource_type, r.provider, r.product, r.task, r.user_id,
        r.cost_usd as kept_usd, r.calls as kept_calls, 0::numeric as usd, 0::bigint as calls
      from spend_private.conversation_rollups as r
      where r.hour >= v_from and r.hour < p_before
        and r.tenant_id = any (v_tenant_ids)
      union all
      select e.tenant_id, e.hour, e.conversation_id, e.resource_type, e.provider, e.product, e.task, e.user_id,
        0, 0, e.cost_usd, e.calls
      from spend_private.events_by_hour as e
      where e.booked_xid < v_state.rolled_up_before and e.conversation_id is not null
        and e.occurred_at >= v_from and e.occurred_at < p_before
        and e.tenant_id = any (v_tenant_ids)
        and (v_left_out = '{}' or e.tenant_id || '/' || e.booked_xid <> all (v_left_out))
    ) as d
    group by 1, 2, 3, 4, 5, 6, 7, 8
    having sum(d.kept_usd) <> sum(d.usd) or sum(d.kept_calls) <> sum(d.calls)
  )

  select
    null::bigint, d.hour, v.column_name, v.kept, v.wanted,
    concat_ws(' ', 'rollup', d.tenant_id, d.resource_type, d.provider, d.product, d.task, d.user_id)
  from difference as d
  cross join lateral (
    values ('cost_rollups.cost_usd', d.kept_usd, d.usd), ('cost_rollups.calls', d.kept_calls, d.calls)
  ) as v (column_name, kept, wanted)
  where v.kept <> v.wanted
  union all
  select
    null::bigint, d.hour, v.column_name, v.kept, v.wanted,
    concat_ws(' ', 'rollup', d.tenant_id, d.conversation_id, d.resource_type, d.provider, d.product, d.task, d.user_id)
  from conversation_difference as d
  cross join lateral (
    values
      ('conversation_rollups.cost_usd', d.kept_usd, d.usd), ('conversation_rollups.calls', d.kept_calls, d.calls)
  ) as v (column_name, kept, wanted)
  where v.kept <> v.wanted;
end;
$$;
comment on function spend_private.wrong_rollups is
  'Rows of the roll-ups that are not the sums of their hour''s events, of the transactions before the mark: of a tenant and a span of time between full hours of UTC, or all. Without dropped months, which only the roll-ups know, and without what roll_up could not count and has reported.';

create function spend_private.tenants_with_wrong_rollups(
  p_rolled_up_before xid8,
  p_from timestamptz,
  p_before timestamptz,
  p_left_out text[]
)
returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
begin
  -- Each amount times the hash of its key: the sums of a tenant are equal when all amounts are, and otherwise only once
  -- in 2^63. This avoids grouping by keys, of which there may be as many as events. Cost and calls are one amount: the
  -- factor has more decimals than money, so that neither can make up for the other.
  return array(
    select d.tenant_id
    from (
      select
        r.tenant_id,
        sum(
          (r.cost_usd + r.calls * 0.7310585786300049)
          * hash_record_extended(row(r.hour, r.resource_type, r.provider, r.product, r.task, r.user_id), 0)
        ) as amount
      from spend_private.cost_rollups as r
      where r.hour >= p_from and r.hour < p_before
      group by r.tenant_id
      union all
      select
        r.tenant_id,
        sum(
          (r.cost_usd + r.calls * 0.7310585786300049)
          * hash_record_extended(row(r.hour, r.resource_type, r.provider, r.product, r.task, r.user_id), 0)
          * hashtextextended(r.conversation_id, 0)
        )
      from spend_private.conversation_rollups as r
      where r.hour >= p_from and r.hour < p_before
      group by r.tenant_id
      union all
      -- An event is in both, or only in the first.
      select
        e.tenant_id,
        -sum(
          (e.cost_usd + e.calls * 0.7310585786300049)
          * hash_record_extended(row(e.hour, e.resource_type, e.provider, e.product, e.task, e.user_id), 0)
          * (1 + coalesce(hashtextextended(e.conversation_id, 0)::numeric, 0))
        )
      from spend_private.events_by_hour as e
      where e.booked_xid < p_rolled_up_before and e.occurred_at >= p_from and e.occurred_at < p_before
        and (p_left_out = '{}' or e.tenant_id || '/' || e.booked_xid <> all (p_left_out))
      group by e.tenant_id
    ) as d
    group by d.tenant_id
    having sum(d.amount) <> 0
  );
end;
$$;
comment on function spend_private.tenants_with_wrong_rollups is
  'Tenants with roll-ups that are not the sums of their events, found in one pass over both.';

create function spend_private.wrong_mark()
returns setof spend_private.finding
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select
    null::bigint, null::timestamptz, 'rolled_up_before', s.rolled_up_before::text::numeric,
    pg_snapshot_xmin(pg_current_snapshot())::text::numeric, 'ledger_state'
  from spend_private.ledger_state as s
  where s.rolled_up_before > pg_snapshot_xmin(pg_current_snapshot())
    and s.cluster_id = spend_private.cluster_id()
  union all
  select null::bigint, null::timestamptz, 'rows', count(*)::numeric, 1::numeric, 'ledger_state'
  from spend_private.ledger_state as s
  having count(*) <> 1;
end;
$$;
comment on function spend_private.wrong_mark is
  'The mark of the roll-ups, where it lies beyond a transaction that may still book: its events would never be counted. Any other wrong mark shows in the sums of the roll-ups.';
