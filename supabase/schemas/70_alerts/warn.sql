create function spend_private.warn(
  p_tenant_id uuid,
  p_holds spend.reservation_hold[],
  p_cost_usd numeric,
  p_now timestamptz
)
returns spend.quota_details[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_hold spend.reservation_hold;
  v_details spend.quota_details;
  v_warnings spend.quota_details[] := '{}';
begin
  if p_holds = '{}' then
    return v_warnings;
  end if;
  foreach v_hold in array spend_private.holds_above_threshold(p_holds) loop
    v_details := spend_private.quota_details(v_hold.quota_id, v_hold.period_start, p_cost_usd, p_now);
    v_warnings := v_warnings || v_details;
    perform spend_private.record_alerts(v_details, v_hold.period_start, p_tenant_id, p_now);
  end loop;
  return v_warnings;
end;
$$;
comment on function spend_private.warn is
  'Quotas among p_holds that are at or above their warning threshold now, held cost included; records the alerts of what is spent of each (record_alerts). With several slots, calls that commit in the same instant do not see each other: the next call, or spend.maintain(), records what they crossed together.';

create function spend_private.holds_above_threshold(p_holds spend.reservation_hold[])
returns spend.reservation_hold[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce((
    select array_agg(h.hold)
    from (
      select
        row(h.quota_id, h.period_start, h.slot)::spend.reservation_hold as hold,
        (
          select sum(b.spent_usd + b.reserved_usd)
          from spend_private.quota_balances as b
          where b.quota_id = h.quota_id and b.period_start = h.period_start
        ) as used_usd,
        (
          select q.limit_usd * q.warning_threshold
          from spend.cost_quotas as q where q.id = h.quota_id
        ) as threshold_usd
      from unnest(p_holds) as h
    ) as h
    where h.used_usd >= h.threshold_usd
  ), '{}');
end;
$$;
comment on function spend_private.holds_above_threshold is
  'Those of p_holds whose quota has used its warning threshold, over all slots.';
