create function spend_private.delete_old_alerts(
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
  with old as (
    select a.id
    from spend.alerts as a
    where a.created_at < p_now - make_interval(days => p_keep_days)
      -- In a period that still runs, it is what keeps the same alert from being sent again.
      and (
        a.quota_id is null or a.ended_at is not null
        or not exists (
          select from spend_private.quota_balances as b
          where b.quota_id = a.quota_id and b.period_start = a.period_start and b.period_end > p_now
        )
      )
    order by a.created_at
    limit p_max_rows
  )
  delete from spend.alerts as a using old as o where a.id = o.id;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end;
$$;
comment on function spend_private.delete_old_alerts is
  'Deletes alerts that were recorded more than p_keep_days ago, delivered or not, p_max_rows at most; returns how many. Those of periods that still run stay: a lifetime quota''s are not sent again.';

create function spend_private.delete_old_refusals(
  p_keep_hours integer,
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
  with old as (
    select r.tenant_id, r.idempotency_key
    from spend_private.refusals as r
    where r.created_at < p_now - make_interval(hours => p_keep_hours)
    order by r.created_at
    limit p_max_rows
  )
  delete from spend_private.refusals as r
  using old as o
  where r.tenant_id = o.tenant_id and r.idempotency_key = o.idempotency_key;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end;
$$;
comment on function spend_private.delete_old_refusals is
  'Deletes refused idempotency keys that are older than p_keep_hours, p_max_rows at most; returns how many.';

create function spend_private.delete_old_problems(
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
  with old as (
    select p.id
    from spend.problems as p
    where p.resolved_at < p_now - make_interval(days => p_keep_days)
    order by p.resolved_at
    limit p_max_rows
  )
  delete from spend.problems as p using old as o where p.id = o.id;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end;
$$;
comment on function spend_private.delete_old_problems is
  'Deletes problems that were resolved more than p_keep_days ago, p_max_rows at most; returns how many.';

create function spend_private.delete_old_conversations(p_max_rows integer default 10000)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_deleted bigint;
begin
  delete from spend_private.conversation_rollups as r
  where r.ctid = any (array(
    select o.ctid
    from spend_private.conversation_rollups as o
    where o.hour < (select s.kept_from from spend_private.ledger_state as s)
    order by o.hour
    limit p_max_rows
  ));
  get diagnostics v_deleted = row_count;
  return v_deleted;
end;
$$;
comment on function spend_private.delete_old_conversations is
  'Deletes sums by conversation of the months that drop_months has dropped, p_max_rows at most; returns how many.';
