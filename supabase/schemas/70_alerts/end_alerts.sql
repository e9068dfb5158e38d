create function spend_private.end_alerts(p_holds spend.reservation_hold[], p_now timestamptz default now())
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  update spend.alerts as a set ended_at = p_now
  from (
    select b.quota_id, b.period_start, sum(b.spent_usd) as spent_usd
    from unnest(p_holds) as h
    join spend_private.quota_balances as b on b.quota_id = h.quota_id and b.period_start = h.period_start
    group by b.quota_id, b.period_start
  ) as s
  where a.quota_id = s.quota_id and a.period_start = s.period_start and a.ended_at is null
    and a.kind in ('quota_warning', 'quota_exceeded')
    and s.spent_usd < a.limit_usd * a.threshold;
end;
$$;
comment on function spend_private.end_alerts is
  'After a credit or a correction: ends the alerts whose threshold spend fell below, so that reaching it again records a new one.';
