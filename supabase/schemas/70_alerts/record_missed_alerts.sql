create index quota_balances_at_threshold_idx on spend_private.quota_balances (period_end) where not is_below_threshold;

create type spend_private.missed_alert as (
  tenant_id uuid,
  quota_id bigint,
  period_start timestamptz,
  kind text,
  threshold numeric,
  details spend.quota_details
);
comment on type spend_private.missed_alert is
  'An alert for the spend of a quota that was not recorded yet.';

create function spend_private.record_missed_alerts(
  p_now timestamptz default now(),
  p_max_rows integer default null
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count bigint;
begin
  insert into spend.alerts (
    tenant_id, quota_id, period_start, kind, threshold, details, caused_by_tenant_id, created_at
  )
  select m.tenant_id, m.quota_id, m.period_start, m.kind, m.threshold, m.details, m.tenant_id, p_now
  from spend_private.missed_alerts(p_max_rows, p_now) as m
  on conflict (quota_id, period_start, kind, threshold, limit_usd) where ended_at is null do nothing;
  get diagnostics v_count = row_count;
  perform spend_private.resolve_missed_alerts(p_now);
  return v_count;
exception
  when lock_not_available or deadlock_detected then
    raise;
  -- All together; by halves if that fails.
  when others then
    v_count := spend_private.insert_alerts(
      array(select m from spend_private.missed_alerts(p_max_rows, p_now) as m), p_now
    );
    perform spend_private.resolve_missed_alerts(p_now);
    return v_count;
end;
$$;
comment on function spend_private.record_missed_alerts is
  'Records the alerts of thresholds that concurrent calls crossed together, or that a lowered limit or an expiry crossed, p_max_rows at most (null: all); returns how many. Once per quota, period and limit, like all alerts. An alert that cannot be recorded goes to spend.problems; the others are recorded.';

create function spend_private.missed_alerts(p_max_rows integer, p_now timestamptz)
returns setof spend_private.missed_alert
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    with at_threshold as (
      select b.quota_id, b.period_start, max(b.period_end) as period_end,
        sum(b.spent_usd) as spent_usd, sum(b.reserved_usd) as reserved_usd
      from spend_private.quota_balances as b
      where (b.quota_id, b.period_start) in (
        select n.quota_id, n.period_start
        from spend_private.quota_balances as n
        where not n.is_below_threshold and n.period_end > p_now and n.period_start <= p_now
      )
      group by b.quota_id, b.period_start
    )

    select
      q.tenant_id, q.id, b.period_start, k.kind, k.threshold,
      -- As quota_details, but for all quotas in one query.
      row(
        q.id, q.scope, q.scope_id, q.resource_type, q.period, q.limit_usd, b.spent_usd, b.reserved_usd,
        b.spent_usd + b.reserved_usd, 0, greatest(q.limit_usd - b.spent_usd - b.reserved_usd, 0),
        case when q.limit_usd > 0 then round(100 * (b.spent_usd + b.reserved_usd) / q.limit_usd, 2) else 100 end,
        nullif(b.period_end, 'infinity')
      )::spend.quota_details
    from at_threshold as b
    join spend.cost_quotas as q on q.id = b.quota_id
    cross join lateral (
      select 'quota_warning' as kind, t.share as threshold from unnest(q.warning_thresholds) as t (share) where t.share < 1
      union all
      select 'quota_exceeded', 1
    ) as k
    -- As record_alerts: none for a quota without spend.
    where b.spent_usd > 0 and b.spent_usd >= q.limit_usd * k.threshold
      and not exists (
        select from spend.alerts as a
        where a.quota_id = b.quota_id and a.period_start = b.period_start and a.kind = k.kind
          and a.threshold = k.threshold and a.limit_usd = q.limit_usd and a.ended_at is null
      )
      and not exists (
        select from spend.problems as p
        where p.job = 'record_alerts' and p.subject = b.quota_id::text
          and p.resolved_at is null and p.retry_at > p_now
      )
    -- As calls do, which have their quotas in lock order: two that record the same alerts wait in one direction.
    order by spend_private.lock_rank(q.scope), b.quota_id, k.threshold
    limit p_max_rows;
end;
$$;
comment on function spend_private.missed_alerts is
  'Alerts to record, p_max_rows at most (null: all), without those that failed recently.';

create function spend_private.insert_alerts(p_alerts spend_private.missed_alert[], p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count bigint := cardinality(p_alerts);
  v_constraint text;
begin
  if v_count = 0 then
    return 0;
  end if;
  insert into spend.alerts (
    tenant_id, quota_id, period_start, kind, threshold, details, caused_by_tenant_id, created_at
  )
  select m.tenant_id, m.quota_id, m.period_start, m.kind, m.threshold, m.details, m.tenant_id, p_now
  from unnest(p_alerts) as m
  on conflict (quota_id, period_start, kind, threshold, limit_usd) where ended_at is null do nothing;
  get diagnostics v_count = row_count;
  return v_count;
exception
  when lock_not_available or deadlock_detected then
    raise;
  when others then
    if cardinality(p_alerts) > 1 then
      return spend_private.insert_alerts(p_alerts[:cardinality(p_alerts) / 2], p_now)
        + spend_private.insert_alerts(p_alerts[cardinality(p_alerts) / 2 + 1:], p_now);
    end if;
    get stacked diagnostics v_constraint = constraint_name;
    perform spend_private.record_problem(
      'record_alerts', p_alerts[1].quota_id::text, sqlerrm,
      jsonb_build_object('sqlstate', sqlstate, 'constraint', v_constraint, 'kind', p_alerts[1].kind), p_now
    );
    return 0;
end;
$$;
comment on function spend_private.insert_alerts is
  'Records these alerts and returns how many; finds one that cannot be recorded by halves, records it in spend.problems, and records the others.';

create function spend_private.resolve_missed_alerts(p_now timestamptz)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Tried now without a failure, which would have moved retry_at.
  update spend.problems as p set resolved_at = p_now
  where p.job = 'record_alerts' and p.subject <> 'job' and p.resolved_at is null and p.retry_at <= p_now
    and not exists (
      select from spend_private.missed_alerts(null, p_now) as m where m.quota_id::text = p.subject
    );
end;
$$;
comment on function spend_private.resolve_missed_alerts is
  'Closes the problems of quotas whose alerts are now recorded, or no longer due.';
