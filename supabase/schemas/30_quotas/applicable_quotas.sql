create type spend_private.applicable_quota as (
  quota_id bigint,
  period_start timestamptz,
  slots integer,
  is_enforced boolean,
  is_expected boolean,
  is_open boolean,
  has_room boolean
);
comment on type spend_private.applicable_quota is
  'A quota that a call counts in. is_expected: its estimate_policy. is_open: its period has balances. has_room: as far as can be seen without a lock, one of its slots has room for the call.';

create function spend_private.applicable_quotas(
  p_tenant_id uuid,
  p_time_zone text,
  p_user_id uuid,
  p_resource_type text,
  p_task text,
  p_product text,
  p_cost_usd numeric,
  p_now timestamptz
)
returns spend_private.applicable_quota[]
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select
      array_agg(
        row(
          q.id, q.period_start, q.slots, q.enforcement = 'block', q.estimate_policy = 'expected',
          q.has_room or exists (
            select from spend_private.quota_balances as b
            where b.quota_id = q.id and b.period_start = q.period_start
          ), q.has_room
        )::spend_private.applicable_quota
        -- Private rows first, the most shared last: the hot row is held for the shortest time.
        order by q.tenant_id is null, q.scope_id = q.tenant_id, q.id
      )
    from (
      select
        c.*, p.period_start,
        exists (
          select from spend_private.quota_balances as b
          where b.quota_id = c.id and b.period_start = p.period_start and b.is_split
            and b.allotted_usd - b.spent_usd - b.reserved_usd >= p_cost_usd
        ) and c.limit_usd > 0 as has_room
      from (
        select u.*, p_time_zone as time_zone from spend.cost_quotas as u
        where u.tenant_id = p_tenant_id and u.scope_id = p_user_id
        union all
        select t.*, p_time_zone from spend.cost_quotas as t
        where t.tenant_id = p_tenant_id and t.scope_id = p_tenant_id
        union all
        select s.*, 'UTC' from spend.cost_quotas as s
        where s.tenant_id is null
      ) as c
      cross join lateral (
        -- Lower bound of period_bounds, spelled out because every call computes it for every quota.
        select case c.period
          when 'lifetime' then '-infinity' else date_trunc(c.period, p_now, c.time_zone)
        end as period_start
      ) as p
      where c.resource_type in (p_resource_type, 'all')
        and (c.task is null or c.task = p_task)
        and (c.product is null or c.product = p_product)
    ) as q
  );
end;
$$;
comment on function spend_private.applicable_quotas is
  'Quotas that a call of this tenant, user, resource type, task and product counts in, in lock order: user, tenant, platform, then id. Null when there is none.';
