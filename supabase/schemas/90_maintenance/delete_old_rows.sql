create function spend_private.delete_old_rows(
  p_table regclass,
  p_age_column text,
  p_before timestamptz,
  p_max_rows integer,
  p_condition text default 'true'
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_deleted bigint;
begin
  -- By ctid, which cannot change while the rows are locked. Skips rows that another transaction has locked: retention and
  -- calls do not wait for each other.
  execute format(
    'delete from %1$s as d where d.ctid = any (array(
      select o.ctid from %1$s as o where o.%2$I < $1 and (%3$s) order by o.%2$I limit $2 for update of o skip locked
    ))',
    p_table, p_age_column, p_condition
  ) using p_before, p_max_rows;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end;
$$;
comment on function spend_private.delete_old_rows is
  'Retention: deletes the oldest rows of a table (not a partitioned one) whose p_age_column lies before p_before, p_max_rows at most; returns how many. p_condition, in SQL, about the row o: keeps rows that do not fulfil it. Written by our functions, never by users. p_age_column has an index.';

create function spend_private.delete_old_alerts(
  p_keep_days integer,
  p_max_rows integer default 10000,
  p_now timestamptz default now()
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.delete_old_rows(
    'spend.alerts', 'created_at', p_now - make_interval(days => p_keep_days), p_max_rows,
    -- In a current period it keeps the same alert from being sent again.
    format(
      'o.quota_id is null or o.ended_at is not null or not exists (
        select from spend_private.quota_balances as b
        where b.quota_id = o.quota_id and b.period_start = o.period_start and b.period_end > %L
      )', p_now
    )
  );
end;
$$;
comment on function spend_private.delete_old_alerts is
  'Deletes alerts that were recorded more than p_keep_days ago, delivered or not, p_max_rows at most; returns how many. Keeps those of current periods, so that a lifetime quota''s are not sent again.';

create function spend_private.delete_old_audit(
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
  perform set_config('spend.retention', 'on', true);
  v_deleted := spend_private.delete_old_rows(
    'spend.audit_log', 'changed_at', p_now - make_interval(days => p_keep_days), p_max_rows
  );
  perform set_config('spend.retention', 'off', true);
  return v_deleted;
end;
$$;
comment on function spend_private.delete_old_audit is
  'Deletes rows of audit_log that are older than p_keep_days, p_max_rows at most; returns how many. Nobody else may delete there (refuse_change).';

create function spend_private.delete_old_cron_runs(
  p_keep_days integer,
  p_max_rows integer default 10000,
  p_now timestamptz default now()
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if to_regclass('cron.job_run_details') is null then
    return 0;
  end if;
  return spend_private.delete_old_rows(
    'cron.job_run_details', 'start_time', p_now - make_interval(days => p_keep_days), p_max_rows,
    'o.jobid in (select j.jobid from cron.job as j where j.jobname in (''spend-maintain'', ''spend-expire'', ''spend-call-maintenance'', ''spend-call-alerts''))'
  );
exception
  -- The owner lacks the right: whoever installed pg_cron must clean up.
  when insufficient_privilege then
    return 0;
end;
$$;
comment on function spend_private.delete_old_cron_runs is
  'Deletes what pg_cron logged of the jobs of spend_private.schedule_maintenance and spend.schedule_functions more than p_keep_days ago, p_max_rows at most; returns how many. pg_cron itself keeps all of them, more than 10,000 a day.';
