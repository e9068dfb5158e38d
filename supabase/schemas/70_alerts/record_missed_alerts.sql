create function spend_private.record_missed_alerts(p_now timestamptz default now())
returns bigint
language plpgsql volatile
set search_path = ''
as $$
declare
  v_quota record;
  v_before bigint := (select count(*) from spend.alerts as a);
  v_details spend.quota_details;
begin
  for v_quota in
    select b.quota_id, b.period_start, max(q.tenant_id::text)::uuid as tenant_id,
      sum(b.spent_usd + b.reserved_usd) >= max(q.limit_usd) as is_reached
    from spend_private.quota_balances as b
    join spend.cost_quotas as q on q.id = b.quota_id
    where b.period_end > p_now and b.period_start <= p_now
    group by b.quota_id, b.period_start
    having not bool_and(b.is_calm)
      and sum(b.spent_usd + b.reserved_usd) >= max(q.limit_usd * q.warning_threshold)
      -- A quota of 0 is no threshold that anybody crossed.
      and sum(b.spent_usd + b.reserved_usd) > 0
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
