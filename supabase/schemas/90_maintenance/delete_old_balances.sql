create index quota_balances_period_end_idx on spend_private.quota_balances (period_end);
create index cost_quotas_shape_since_idx on spend.cost_quotas (shape_since) where shape_since > '-infinity';
create index tenants_time_zone_since_idx on spend.tenants (time_zone_since) where time_zone_since > '-infinity';

create function spend_private.delete_old_balances(
  p_keep_days integer,
  p_max_rows integer default 10000,
  p_now timestamptz default now()
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_deleted bigint;
begin
  with ended as (
    select b.quota_id, b.period_start, b.reserved_usd
    from spend_private.quota_balances as b
    where b.period_end < p_now - make_interval(days => p_keep_days)
  ),

  -- Of quotas that have changed: what ended before the change.
  other_shape as (
    select o.quota_id, o.period_start, o.reserved_usd
    from (
      select q.id, q.shape_since as before
      from spend.cost_quotas as q
      where q.shape_since > '-infinity' and q.shape_since > p_now - make_interval(days => p_keep_days)
      union
      select q.id, t.time_zone_since
      from spend.tenants as t
      cross join lateral (select c.id from spend.cost_quotas as c where c.tenant_id = t.id offset 0) as q
      where t.time_zone_since > '-infinity' and t.time_zone_since > p_now - make_interval(days => p_keep_days)
    ) as n
    -- Quota by quota, whatever the planner believes: few have changed, and there are many balances.
    cross join lateral (
      select b.quota_id, b.period_start, b.reserved_usd
      from spend_private.quota_balances as b
      where b.quota_id = n.id and b.period_end <= n.before
      offset 0
    ) as o
  ),

  old as materialized (
    select o.quota_id, o.period_start
    from (select * from ended union all select * from other_shape) as o
    group by o.quota_id, o.period_start
    -- A call that is still open returns its hold here.
    having sum(o.reserved_usd) = 0
    limit p_max_rows
  ),

  -- Without waiting for a late settle: it may be waiting for an alert that this transaction has recorded.
  locked as materialized (
    select b.quota_id, b.period_start, b.reserved_usd
    from spend_private.quota_balances as b
    join old as o on o.quota_id = b.quota_id and o.period_start = b.period_start
    for update of b skip locked
  ),

  -- A period goes as a whole.
  whole as (
    select l.quota_id, l.period_start
    from locked as l
    group by l.quota_id, l.period_start
    having sum(l.reserved_usd) = 0 and count(*) = (
      select count(*)
      from spend_private.quota_balances as b
      where b.quota_id = l.quota_id and b.period_start = l.period_start
    )
  )

  delete from spend_private.quota_balances as b
  using whole as o
  where b.quota_id = o.quota_id and b.period_start = o.period_start;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end;
$$;
comment on function spend_private.delete_old_balances is
  'Deletes balances that hold nothing of periods that ended more than p_keep_days ago, or of an older period, subject or time zone of their quota; returns how many. Leaves periods with a balance that somebody has locked to the next run. A late settle skips them and still books into the ledger.';
