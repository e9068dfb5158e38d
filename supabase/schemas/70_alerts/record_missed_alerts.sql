create index quota_balances_busy_idx on spend_private.quota_balances (period_end) where not is_calm;

create type spend_private.missed_alert as (
  kind text,
  threshold numeric,
  quota spend.cost_quotas,
  period_start timestamptz,
  period_end timestamptz,
  spent_usd numeric,
  reserved_usd numeric
);
comment on type spend_private.missed_alert is
  'An alert that what is spent of a quota calls for, and that nobody has recorded.';

create function spend_private.record_missed_alerts(
  p_now timestamptz default now(),
  p_max_rows integer default null
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_missed spend_private.missed_alert[] := spend_private.missed_alerts(p_max_rows, p_now);
begin
  return spend_private.insert_alerts(v_missed, p_now);
end;
$$;
comment on function spend_private.record_missed_alerts is
  'Records the alerts of thresholds that calls crossed together without seeing each other, or that a lowered limit or an expiry crossed, p_max_rows at most (null: all); returns how many. Once per quota, period and limit, like all alerts. One that cannot be recorded does not keep the others: spend.problems says why.';

create function spend_private.missed_alerts(p_max_rows integer, p_now timestamptz)
returns spend_private.missed_alert[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    with busy as (
      select b.quota_id, b.period_start, max(b.period_end) as period_end,
        sum(b.spent_usd) as spent_usd, sum(b.reserved_usd) as reserved_usd
      from spend_private.quota_balances as b
      where (b.quota_id, b.period_start) in (
        select n.quota_id, n.period_start
        from spend_private.quota_balances as n
        where not n.is_calm and n.period_end > p_now and n.period_start <= p_now
      )
      group by b.quota_id, b.period_start
    ),

    missed as (
      select row(k.kind, k.threshold, q, b.period_start, b.period_end, b.spent_usd, b.reserved_usd)
        ::spend_private.missed_alert as alert
      from busy as b
      join spend.cost_quotas as q on q.id = b.quota_id
      cross join lateral (values ('warning', q.warning_threshold), ('limit', 1)) as k (kind, threshold)
      -- As record_alerts: of a quota of which nothing is spent there is nothing to tell.
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
      order by b.quota_id, k.threshold
      limit p_max_rows
    )

    select array_agg(m.alert) from missed as m
  );
end;
$$;
comment on function spend_private.missed_alerts is
  'Alerts that are to be recorded, p_max_rows at most, without those that failed a moment ago.';

create function spend_private.insert_alerts(p_alerts spend_private.missed_alert[], p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count bigint := coalesce(cardinality(p_alerts), 0);
  v_constraint text;
begin
  if v_count = 0 then
    return 0;
  end if;
  insert into spend.alerts (
    tenant_id, quota_id, period_start, kind, threshold, details, caused_by_tenant_id,
    created_at, next_attempt_at
  )
  select
    (a.quota).tenant_id, (a.quota).id, a.period_start, a.kind, a.threshold,
    spend_private.details_of(a.quota, a.spent_usd, a.reserved_usd, 0, a.period_end),
    (a.quota).tenant_id, p_now, p_now
  from unnest(p_alerts) as a
  on conflict (quota_id, period_start, kind, threshold, limit_usd) where ended_at is null do nothing;
  get diagnostics v_count = row_count;
  perform spend_private.resolve_problems(
    'record_alerts', array(select (a.quota).id::text from unnest(p_alerts) as a), p_now
  );
  return v_count;
exception
  when lock_not_available or deadlock_detected then
    raise;
  when others then
    -- All together, as long as that works; else the halves, so that the bad one is found in a few steps.
    if cardinality(p_alerts) > 1 then
      return spend_private.insert_alerts(p_alerts[:cardinality(p_alerts) / 2], p_now)
        + spend_private.insert_alerts(p_alerts[cardinality(p_alerts) / 2 + 1:], p_now);
    end if;
    get stacked diagnostics v_constraint = constraint_name;
    perform spend_private.record_problem(
      'record_alerts', (p_alerts[1].quota).id::text, sqlerrm,
      jsonb_build_object('sqlstate', sqlstate, 'constraint', v_constraint, 'kind', p_alerts[1].kind), p_now
    );
    return 0;
end;
$$;
comment on function spend_private.insert_alerts is
  'Records these alerts and returns how many it did; one that cannot be recorded goes to spend.problems, the others are.';
