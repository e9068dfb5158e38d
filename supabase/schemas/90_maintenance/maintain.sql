create function spend.maintenance_jobs()
returns table (job text, batch bigint)
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- What holds money or quota back comes first, what only tidies up last.
  return query values
    ('expire_reservations', 200::bigint),
    -- Their calls wait for the step: a few tenants at a time.
    ('follow_plans', 10),
    ('make_partitions', null),
    ('roll_up', 50000),
    ('record_alerts', 10000),
    ('verify', null),
    ('drop_months', null),
    ('delete_refusals', 10000),
    ('fold_refusals', 10000),
    ('delete_refusal_counts', 10000),
    ('delete_alerts', 10000),
    ('delete_balances', 10000),
    ('delete_conversations', 10000),
    ('delete_problems', 10000),
    ('delete_reservations', 5000),
    ('delete_contexts', 10000),
    ('delete_adjustment_keys', 10000),
    ('delete_strays', 10000),
    ('delete_audit', 10000),
    ('delete_cron_runs', 10000);
end;
$$;
comment on function spend.maintenance_jobs is
  'Jobs of spend.maintain(), in the order in which a run does them, each in a transaction of its own. batch: what one step does at most; a step that did as much has more to do, and is repeated while there is time. Null: one step is all. For service_role.';
grant execute on function spend.maintenance_jobs to service_role;

create function spend.maintain()
returns jsonb
language plpgsql volatile
-- Definer: it makes and drops partitions and writes what nobody else may.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job text;
  v_count bigint;
  v_is_over boolean := false;
  v_done jsonb := '{}';
begin
  for v_job in
    select j.job
    from spend.maintenance_jobs() with ordinality as j (job, batch, place)
    -- All in one transaction: what calls wait for comes last, since its locks are held until the end.
    order by j.job in ('make_partitions', 'drop_months') desc, j.job in ('follow_plans', 'expire_reservations'), j.place
  loop
    v_count := case when not v_is_over then spend_private.run_job(v_job) end;
    v_done := v_done || jsonb_build_object(v_job, v_count);
    -- These stop bookings and reports until the transaction ends: the others wait for the next run.
    v_is_over := v_is_over or (v_job in ('make_partitions', 'drop_months') and coalesce(v_count, 0) > 0);
  end loop;
  return v_done;
end;
$$;
comment on function spend.maintain() is
  'Does all that is periodic, in one transaction, and returns what it did: {"expire_reservations": 3, "roll_up": 240, …}, in rows; null for a job that is left to the next run: another session is at it, the ledger''s months were just changed, a lock was not had, or it failed (spend.problems and an alert say why). Safe to run at any time, beside traffic and beside itself. A scheduler does better with call spend.run_maintenance(), or the edge function maintenance, which commit after each step. For service_role.';
grant execute on function spend.maintain() to service_role;

create function spend.maintain(job text)
returns jsonb
language plpgsql volatile
-- Definer: see spend.maintain().
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_batch bigint;
begin
  select j.batch into v_batch from spend.maintenance_jobs() as j where j.job = maintain.job;
  if not found then
    perform spend_private.fail(
      '22023', 'unknown_job', jsonb_build_object('job', maintain.job), 'Pass a job of spend.maintenance_jobs().'
    );
  end if;
  return jsonb_build_object(maintain.job, spend_private.run_job(maintain.job, now(), v_batch));
end;
$$;
comment on function spend.maintain(text) is
  'One step of one job of spend.maintain(): {"roll_up": 240}. A job that did its whole batch (spend.maintenance_jobs) has more to do.
Errors: 22023 unknown_job. For service_role.';
grant execute on function spend.maintain(text) to service_role;

create procedure spend.run_maintenance(max_seconds integer default 50)
language plpgsql
-- No SET, which would forbid to commit, and so each name with its schema. Invoker: maintain() does what needs the owner.
as $$
declare
  v_end pg_catalog.timestamptz := pg_catalog.clock_timestamp()
    operator(pg_catalog.+) pg_catalog.make_interval(secs => coalesce(run_maintenance.max_seconds, 50));
  v_jobs pg_catalog.text[] := array(select j.job from spend.maintenance_jobs() as j);
  v_batches pg_catalog.int8[] := array(select j.batch from spend.maintenance_jobs() as j);
  v_count pg_catalog.int8;
begin
  for v_place in 1..pg_catalog.cardinality(v_jobs) loop
    loop
      v_count := pg_catalog.jsonb_extract_path_text(spend.maintain(job => v_jobs[v_place]), v_jobs[v_place])::pg_catalog.int8;
      -- What this step locked is free, and what it did is done, whatever comes.
      commit;
      exit when (v_count operator(pg_catalog.<) v_batches[v_place]) is not false
        or pg_catalog.clock_timestamp() operator(pg_catalog.>=) v_end;
    end loop;
  end loop;
end;
$$;
comment on procedure spend.run_maintenance is
  'Does all jobs of spend.maintain(), each step committed, the dearest first, and repeats a job that has more to do for as long as max_seconds last; then each is done once still. Not to be called within a transaction. pg_cron calls it every minute where it exists. For service_role.';
grant execute on procedure spend.run_maintenance to service_role;

create function spend_private.run_job(p_job text, p_now timestamptz default now(), p_batch bigint default null)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_count bigint;
  v_constraint text;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('spend.maintain ' || p_job, 0)) then
    return null;
  end if;
  v_count := spend_private.do_job(p_job, p_now, p_batch);
  perform spend_private.resolve_problem(p_job, 'job', p_now);
  insert into spend_private.job_runs as r (job, done_at) values (p_job, p_now)
  on conflict on constraint job_runs_pkey do update set done_at = excluded.done_at;
  return v_count;
exception
  -- Somebody else is at it: no fault of the job, the next run does it.
  when lock_not_available or deadlock_detected then
    raise warning 'spend.maintain: % is left to the next run: % (%)', p_job, sqlerrm, sqlstate;
    return null;
  -- One job that fails must not stop the others.
  when others then
    get stacked diagnostics v_constraint = constraint_name;
    raise warning 'spend.maintain: % failed: % (%)', p_job, sqlerrm, sqlstate;
    perform spend_private.record_problem(
      p_job, 'job', sqlerrm, jsonb_build_object('sqlstate', sqlstate, 'constraint', v_constraint), p_now
    );
    return null;
end;
$$;
comment on function spend_private.run_job is
  'Does one job of spend.maintain() once, and returns how many rows it touched; null when another session is at it, or when it failed: then spend.problems says why, with subject job.';

create function spend_private.do_job(p_job text, p_now timestamptz, p_batch bigint)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_settings spend.settings;
  v_batch integer := coalesce(p_batch, (select j.batch from spend.maintenance_jobs() as j where j.job = p_job));
begin
  select * into v_settings from spend.settings as s;
  return case p_job
    when 'expire_reservations' then spend_private.expire_reservations(v_batch, p_now)
    -- Without a batch it is one job of many in a transaction.
    when 'follow_plans' then spend_private.follow_plans(v_batch, p_waits => p_batch is not null)
    when 'make_partitions' then spend_private.ensure_partitions(p_now)
    when 'roll_up' then spend_private.roll_up(coalesce(p_batch, 500000)::integer, p_now)
    when 'record_alerts' then spend_private.record_missed_alerts(p_now, v_batch)
    when 'verify' then spend_private.verify_slice(p_now => p_now)
    when 'drop_months' then spend_private.drop_months(v_settings.keep_event_months, p_now)
    when 'delete_refusals' then spend_private.delete_old_refusals(v_settings.keep_refusal_hours, v_batch, p_now)
    when 'fold_refusals' then spend_private.fold_refusals(v_batch, p_now)
    when 'delete_refusal_counts' then spend_private.delete_old_refusal_counts(v_settings.keep_refusal_days, v_batch, p_now)
    when 'delete_alerts' then spend_private.delete_old_alerts(v_settings.keep_alert_days, v_batch, p_now)
    when 'delete_balances' then spend_private.delete_old_balances(v_settings.keep_balance_days, v_batch, p_now)
    when 'delete_conversations' then spend_private.delete_old_conversations(v_batch)
    when 'delete_problems' then spend_private.delete_old_problems(v_settings.keep_alert_days, v_batch, p_now)
    when 'delete_reservations'
      then spend_private.delete_old_reservations(v_settings.keep_reservation_days, v_batch, p_now)
    when 'delete_contexts' then spend_private.delete_old_contexts(v_settings.keep_reservation_days, v_batch, p_now)
    when 'delete_adjustment_keys'
      then spend_private.delete_old_adjustment_keys(v_settings.keep_reservation_days, v_batch, p_now)
    when 'delete_strays' then spend_private.delete_old_strays(v_settings.keep_reservation_days, v_batch, p_now)
    when 'delete_audit' then spend_private.delete_old_audit(v_settings.keep_audit_days, v_batch, p_now)
    when 'delete_cron_runs' then spend_private.delete_old_cron_runs(7, v_batch, p_now)
  end;
end;
$$;
comment on function spend_private.do_job is
  'One step of a job, p_batch at most (null: all that may be done in one transaction); returns how many rows it touched.';
