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
-- A bitmap of so few balances costs more than it saves.
set enable_bitmapscan = 'off'
as $$
declare
  v_hold spend.reservation_hold;
  v_warning spend.quota_details[];
  v_may_alert boolean;
  v_warnings spend.quota_details[] := '{}';
begin
  foreach v_hold in array p_holds loop
    -- As quota_details, and the look-up of record_alerts for a limit that is spent, in one statement: every call over the
    -- limit of a quota that observes runs it twice.
    select
      array[row(
        q.id, q.scope, q.scope_id, q.resource_type, q.period, q.limit_usd,
        u.spent_usd, u.reserved_usd, u.spent_usd + u.reserved_usd, p_cost_usd,
        greatest(q.limit_usd - u.spent_usd - u.reserved_usd, 0),
        case when q.limit_usd > 0 then round(100 * (u.spent_usd + u.reserved_usd) / q.limit_usd, 2) else 100 end,
        nullif(coalesce(u.period_end, upper(spend_private.quota_bounds(q, p_now))), 'infinity')
      )::spend.quota_details],
      u.spent_usd >= q.limit_usd * q.warning_threshold and not (
        u.spent_usd >= q.limit_usd and exists (
          select from spend.alerts as a
          where a.quota_id = v_hold.quota_id and a.period_start = v_hold.period_start and a.kind = 'quota_exceeded'
            and a.threshold = 1 and a.limit_usd = q.limit_usd and a.ended_at is null
        )
      )
    into v_warning, v_may_alert
    from spend.cost_quotas as q
    cross join (
      select
        coalesce(sum(b.spent_usd), 0) as spent_usd, coalesce(sum(b.reserved_usd), 0) as reserved_usd,
        max(b.period_end) as period_end
      from spend_private.quota_balances as b
      where b.quota_id = v_hold.quota_id and b.period_start = v_hold.period_start
    ) as u
    where q.id = v_hold.quota_id and u.spent_usd + u.reserved_usd >= q.limit_usd * q.warning_threshold;
    continue when not found;

    v_warnings := v_warnings || v_warning;
    if v_may_alert then
      -- The same row: no limit changes while a call runs (stop_calls).
      perform spend_private.record_alerts(q, v_warning[1], v_hold.period_start, p_tenant_id, p_now)
      from spend.cost_quotas as q
      where q.id = v_hold.quota_id;
    end if;
  end loop;
  return v_warnings;
end;
$$;
comment on function spend_private.record_warnings is
  'Returns the quotas among p_holds that are at or above their warning threshold, holds included, and records the alerts for their spend (record_alerts). Concurrent calls in different slots do not see each other: the next call, or spend.maintain(), records a threshold that they crossed together.';
