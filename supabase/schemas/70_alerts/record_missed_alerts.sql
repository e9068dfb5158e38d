create index quota_balances_busy_idx on spend_private.quota_balances (period_end) where not is_calm;

create function spend_private.record_missed_alerts(p_now timestamptz default now())
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota record;
  v_before bigint := (select count(*) from spend.alerts as a);
  v_details spend.quota_details;
begin
  for v_quota in
    with busy as (
      select b.quota_id, b.period_start, sum(b.spent_usd + b.reserved_usd) as used_usd
      from spend_private.quota_balances as b
      where (b.quota_id, b.period_start) in (
        select n.quota_id, n.period_start
        from spend_private.quota_balances as n
        where not n.is_calm and n.period_end > p_now and n.period_start <= p_now
      )
      group by b.quota_id, b.period_start
    )
    select b.quota_id, b.period_start, q.tenant_id, b.used_usd >= q.limit_usd as is_reached
    from busy as b
    join spend.cost_quotas as q on q.id = b.quota_id
    -- A quota of 0 is no threshold that anybody crossed.
    where b.used_usd >= q.limit_usd * q.warning_threshold and b.used_usd > 0
      and (
        not exists (
          select from spend.alerts as a
          where a.quota_id = b.quota_id and a.period_start = b.period_start
            and a.kind = 'warning' and a.threshold = q.warning_threshold
        )
        or (b.used_usd >= q.limit_usd and not exists (
          select from spend.alerts as a
          where a.quota_id = b.quota_id and a.period_start = b.period_start and a.kind = 'limit'
        ))
      )
  loop
    v_details := spend_private.quota_details(v_quota.quota_id, v_quota.period_start, 0, p_now);
    perform spend_private.record_alert('warning', v_details, v_quota.tenant_id, p_now);
    if v_quota.is_reached then
      perform spend_private.record_alert('limit', v_details, v_quota.tenant_id, p_now);
    end if;
  end loop;
  return (select count(*) from spend.alerts as a) - v_before;
end;
$$;
comment on function spend_private.record_missed_alerts is
  'Records the alerts of thresholds that calls crossed together without seeing each other, or that a lowered limit or an expiry crossed; returns how many. Once per quota and period, like all alerts.';
