create type spend_private.applicable_quota as (
  quota_id bigint,
  period_start timestamptz,
  slots integer,
  is_enforced boolean,
  is_expected boolean,
  has_room boolean,
  is_contended boolean
);
comment on type spend_private.applicable_quota is
  'A quota that a call counts in. is_expected: its estimate_policy. has_room: as seen without a lock, its period is open and one of its slots takes the call: the slot has room, or the quota is over its limit and cannot refuse this call. is_contended: the last attempt found all of those slots locked (spend_private.hold).';

create function spend_private.applicable_quotas(
  p_call spend_private.call,
  p_enforce boolean,
  p_now timestamptz
)
returns spend_private.applicable_quota[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- Walks the index until it has found enough: a bitmap would be gathered from all of it first.
set enable_bitmapscan = 'off'
as $$
begin
  return (
    select
      coalesce(array_agg(
        row(
          q.id, q.period_start, q.slots, q.is_enforced, q.is_expected,
          (q.limit_usd > 0 or not (p_enforce and q.is_enforced)) and exists (
            select from spend_private.quota_balances as b
            where b.quota_id = q.id and b.period_start = q.period_start
              and case
                when b.is_split then b.allotted_usd - b.spent_usd - b.reserved_usd >= p_call.cost_usd
                else not (p_enforce and q.is_enforced)
              end
          ),
          false
        )::spend_private.applicable_quota
        -- Private rows first, the most shared last: the hot row is held for the shortest time.
        order by q.rank, q.id
      ), '{}')
    from (
      -- Only the columns that count: what these two put together, Postgres describes anew for every call.
      select
        o.id, o.slots, o.limit_usd, o.enforcement = 'block' as is_enforced, o.estimate_policy = 'expected' as is_expected,
        case when o.scope_id = o.tenant_id then 2 else 1 end as rank,
        case
          when o.period = 'lifetime' then '-infinity'
          -- Where clocks never change, without a function call: every call computes this for every quota.
          when p_call.time_zone = 'UTC' then date_trunc(o.period, p_now, 'UTC')
          else spend_private.period_start(o.period, p_call.time_zone, p_now)
        end as period_start
      from spend.cost_quotas as o
      where o.tenant_id = p_call.tenant_id and o.scope_id in (p_call.user_id, p_call.tenant_id)
        and o.resource_type in (p_call.resource_type, 'all')
        and (o.task is null or o.task = p_call.task)
        and (o.product is null or o.product = p_call.product)
      union all
      select
        s.id, s.slots, s.limit_usd, s.enforcement = 'block', s.estimate_policy = 'expected', 3,
        case when s.period = 'lifetime' then '-infinity' else date_trunc(s.period, p_now, 'UTC') end
      from spend.cost_quotas as s
      where s.tenant_id is null
        and s.resource_type in (p_call.resource_type, 'all')
        and (s.task is null or s.task = p_call.task)
        and (s.product is null or s.product = p_call.product)
    ) as q
  );
end;
$$;
comment on function spend_private.applicable_quotas is
  'Quotas that a call counts in, in lock order: user, tenant, platform, then id. Empty when there is none. p_enforce: whether the call may be refused.';

create function spend_private.open_periods(p_quotas spend_private.applicable_quota[], p_now timestamptz)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_quota spend_private.applicable_quota;
  v_were_missing boolean := false;
begin
  foreach v_quota in array p_quotas loop
    if not v_quota.has_room and not exists (
      select from spend_private.quota_balances as b
      where b.quota_id = v_quota.quota_id and b.period_start = v_quota.period_start
    ) then
      perform spend_private.open_balances(v_quota.quota_id, p_now);
      v_were_missing := true;
    end if;
  end loop;
  return v_were_missing;
end;
$$;
comment on function spend_private.open_periods is
  'Opens the balances of those quotas whose current period has none yet. True when there were any: the caller looks again, since they may have room now.';
