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
  -- Another session has a lock: the next run does the job.
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
  'Does one job of spend.maintain() once, and returns how many rows it touched; null when another session is doing it, or when it failed (spend.problems, subject job).';

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
    when 'find_expiries' then spend_private.find_expiries(v_settings.expired_alert_count, p_now)
    when 'forecast_quotas' then spend_private.forecast_quotas(v_batch, p_now)
    when 'find_unusual_spend' then spend_private.find_unusual_spend(v_batch, p_now)
    when 'verify' then spend_private.verify_slice(p_now => p_now)
    when 'drop_months' then spend_private.drop_months(v_settings.keep_event_months, p_now)
    when 'delete_refusals' then spend_private.delete_old_rows(
      'spend_private.refusals', 'created_at', p_now - make_interval(hours => v_settings.keep_refusal_hours), v_batch
    )
    when 'fold_refusals' then spend_private.fold_refusals(v_batch, p_now)
    when 'delete_refusal_counts' then spend_private.delete_old_rows(
      'spend.refusal_counts', 'hour', p_now - make_interval(days => v_settings.keep_refusal_days), v_batch
    )
    when 'delete_alerts' then spend_private.delete_old_alerts(v_settings.keep_alert_days, v_batch, p_now)
    when 'delete_mutes' then spend_private.delete_old_rows('spend.alert_mutes', 'until', p_now - interval '1 day', v_batch)
    when 'delete_balances' then spend_private.delete_old_balances(v_settings.keep_balance_days, v_batch, p_now)
    -- Of the months that drop_months has dropped.
    when 'delete_conversations' then spend_private.delete_old_rows(
      'spend_private.conversation_rollups', 'hour', (select s.kept_from from spend_private.ledger_state as s), v_batch
    )
    -- Open problems stay: they have no resolved_at.
    when 'delete_problems' then spend_private.delete_old_rows(
      'spend.problems', 'resolved_at', p_now - make_interval(days => v_settings.keep_alert_days), v_batch
    )
    when 'delete_reservations'
      then spend_private.delete_old_reservations(v_settings.keep_reservation_days, v_batch, p_now)
    when 'delete_contexts' then spend_private.delete_old_rows(
      'spend.execution_contexts', 'ended_at', p_now - make_interval(days => v_settings.keep_reservation_days), v_batch,
      'o.booked_at is not null'
    )
    when 'delete_adjustment_keys' then spend_private.delete_old_rows(
      'spend_private.adjustments', 'created_at', p_now - make_interval(days => v_settings.keep_reservation_days), v_batch
    )
    when 'delete_strays' then spend_private.delete_old_rows(
      'spend_private.stray_sandboxes', 'paid_until', p_now - make_interval(days => v_settings.keep_reservation_days), v_batch
    )
    when 'delete_audit' then spend_private.delete_old_audit(v_settings.keep_audit_days, v_batch, p_now)
    when 'delete_cron_runs' then spend_private.delete_old_cron_runs(7, v_batch, p_now)
  end;
end;
$$;
comment on function spend_private.do_job is
  'One step of a job, p_batch at most (null: a whole run); returns how many rows it touched.';
