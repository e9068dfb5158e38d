create function spend_private.record_warnings(
  p_tenant_id uuid,
  p_holds spend.reservation_hold[],
  p_cost_usd numeric,
  p_now timestamptz
)
returns spend.quota_details[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_hold spend.reservation_hold;
  v_quota spend.cost_quotas;
  v_details spend.quota_details;
  v_warnings spend.quota_details[] := '{}';
begin
  foreach v_hold in array p_holds loop
    select * into v_quota from spend.cost_quotas as q where q.id = v_hold.quota_id;
    continue when not found;
    v_details := spend_private.quota_details(v_quota, v_hold.period_start, p_cost_usd, p_now);
    continue when v_details.current_spend_usd < v_quota.limit_usd * v_quota.warning_threshold;
    v_warnings := v_warnings || v_details;
    perform spend_private.record_alerts(v_quota, v_details, v_hold.period_start, p_tenant_id, p_now);
  end loop;
  return v_warnings;
end;
$$;
comment on function spend_private.record_warnings is
  'Returns the quotas among p_holds that are at or above their warning threshold, holds included, and records the alerts for their spend (record_alerts). Concurrent calls in different slots do not see each other: the next call, or spend.maintain(), records a threshold that they crossed together.';
