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
  foreach v_job in array spend_private.maintenance_jobs() loop
    v_count := case when not v_is_over then spend_private.run_job(v_job) end;
    v_done := v_done || jsonb_build_object(v_job, v_count);
    -- These stop bookings and reports until the transaction ends: the others wait for the next run.
    v_is_over := v_is_over or (v_job in ('make_partitions', 'drop_months') and coalesce(v_count, 0) > 0);
  end loop;
  return v_done;
end;
$$;
comment on function spend.maintain is
  'Does all that is periodic, and returns what it did: {"make_partitions": 1, "roll_up": 240, …, "expire_reservations": 3}, in rows; null for a job that is left to the next run: another session is at it, the ledger''s months were just changed, or it failed (a warning in the server''s log says why). Safe to run at any time, beside traffic and beside itself. pg_cron runs it every minute where it exists. For service_role.';
grant execute on function spend.maintain to service_role;

create function spend_private.maintenance_jobs()
returns text[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Expiry locks balances that calls want, and so comes last: the locks are held until the transaction ends.
  return array[
    'make_partitions', 'drop_months', 'roll_up', 'delete_alerts', 'delete_refusals',
    'delete_balances', 'record_alerts', 'expire_reservations'
  ];
end;
$$;
comment on function spend_private.maintenance_jobs is
  'Jobs of spend.maintain(), in their order.';

create function spend_private.run_job(p_job text, p_now timestamptz default now())
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_settings spend.settings;
  v_count bigint;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('spend.maintain ' || p_job, 0)) then
    return null;
  end if;
  select * into v_settings from spend.settings as s;
  case p_job
    when 'make_partitions' then
      v_count := spend_private.ensure_partitions(p_now);
    when 'roll_up' then
      v_count := spend_private.roll_up();
    when 'drop_months' then
      v_count := spend_private.drop_months(v_settings.keep_event_months, p_now);
    when 'delete_alerts' then
      delete from spend.alerts as a
      where a.created_at < p_now - make_interval(days => v_settings.keep_alert_days);
      get diagnostics v_count = row_count;
    when 'delete_refusals' then
      delete from spend_private.refusals as r
      where r.created_at < p_now - make_interval(hours => v_settings.keep_refusal_hours);
      get diagnostics v_count = row_count;
    when 'delete_balances' then
      v_count := spend_private.delete_old_balances(v_settings.keep_balance_days, p_now => p_now);
    when 'record_alerts' then
      v_count := spend_private.record_missed_alerts(p_now);
    when 'expire_reservations' then
      -- A change of time zone holds this lock and waits for the roll-ups, which this transaction has locked.
      lock table spend.reservations in row exclusive mode nowait;
      v_count := spend_private.expire_reservations(200, p_now);
  end case;
  return v_count;
exception
  -- One job that fails must not stop the others.
  when others then
    raise warning 'spend.maintain: % failed: % (%)', p_job, sqlerrm, sqlstate;
    return null;
end;
$$;
comment on function spend_private.run_job is
  'Does one job of spend.maintain() once, and returns how many rows it touched; null when another session is at it, or when it failed.';
