create type spend.maintenance_status as (
  is_running boolean,
  scheduled_by text,
  maintain_schedule text,
  expire_schedule text,
  last_run_at timestamptz,
  late_jobs text[],
  open_problems bigint,
  unrolled_events bigint,
  unrolled_since timestamptz,
  remedy text,
  undelivered_alerts bigint,
  given_up_alerts bigint
);
comment on type spend.maintenance_status is
  'Answer of spend.maintenance_status().';
comment on column spend.maintenance_status.is_running is 'A job was done in the last five minutes.';
comment on column spend.maintenance_status.scheduled_by is 'pg_cron; other: something else than this database''s pg_cron (the edge function maintenance, another scheduler); null: nothing.';
comment on column spend.maintenance_status.maintain_schedule is 'When pg_cron calls spend.run_maintenance() or the edge function maintenance, as cron.job has it; null: it does not.';
comment on column spend.maintenance_status.expire_schedule is 'When pg_cron calls spend.expire_reservations(); null: it does not, and only run_maintenance charges expired reservations.';
comment on column spend.maintenance_status.last_run_at is 'When a job was last done; null: never.';
comment on column spend.maintenance_status.late_jobs is 'Jobs of spend.maintenance_jobs() that were not done in the last hour.';
comment on column spend.maintenance_status.open_problems is 'Rows of spend.problems that are open.';
comment on column spend.maintenance_status.unrolled_events is 'Events that are not in the roll-ups yet, which reports add one by one.';
comment on column spend.maintenance_status.unrolled_since is 'When the oldest of them was booked; null: there is none.';
comment on column spend.maintenance_status.remedy is 'What to do; null: nothing is wrong.';
comment on column spend.maintenance_status.undelivered_alerts is 'Deliveries of alerts that wait for more than five minutes (spend.alert_deliveries; last_error says why).';
comment on column spend.maintenance_status.given_up_alerts is 'Deliveries that were given up in the last day.';

create function spend.maintenance_status()
returns spend.maintenance_status
language plpgsql stable
-- Definer: it reads spend_private and cron.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.maintenance_status();
end;
$$;
comment on function spend.maintenance_status() is
  'Whether maintenance runs, what runs it, when it last ran, and what is left to do: for health checks. remedy says what to do; null when nothing is wrong. For service_role.';
grant execute on function spend.maintenance_status to service_role;

create function spend_private.maintenance_status(p_now timestamptz default now())
returns spend.maintenance_status
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_status spend.maintenance_status;
begin
  v_status.maintain_schedule := spend_private.cron_schedule('\mspend\.(run_maintenance|maintain)\M|/maintenance\M|call_function\(''maintenance''');
  v_status.expire_schedule := spend_private.cron_schedule('\mspend\.expire_reservations\M');
  v_status.last_run_at := (select max(r.done_at) from spend_private.job_runs as r);
  v_status.is_running := coalesce(v_status.last_run_at > p_now - interval '5 minutes', false);
  v_status.scheduled_by := case
    when v_status.maintain_schedule is not null then 'pg_cron'
    when v_status.is_running then 'other'
  end;
  v_status.late_jobs := array(
    select j.job
    from spend.maintenance_jobs() with ordinality as j (job, batch, place)
    left join spend_private.job_runs as r on r.job = j.job
    where (r.done_at > p_now - interval '1 hour') is not true
    order by j.place
  );
  v_status.open_problems := (select count(*) from spend.problems as p where p.resolved_at is null);
  select count(*), min(e.booked_at) into v_status.unrolled_events, v_status.unrolled_since
  from spend.cost_events as e
  where e.booked_xid >= spend_private.rolled_up_before();

  v_status.undelivered_alerts := spend_private.undelivered_alerts(p_now);
  v_status.given_up_alerts := spend_private.given_up_alerts(p_now);
  v_status.remedy := case
    when not v_status.is_running and v_status.scheduled_by is null then
      'Nobody runs maintenance: call spend.run_maintenance() or the edge function maintenance every minute. Where pg_cron is installed, select spend_private.schedule_maintenance().'
    when not v_status.is_running then 'pg_cron has the schedule, but no job was done: see cron.job_run_details.'
    when v_status.late_jobs <> '{}' or v_status.open_problems > 0 then 'See spend.problems, and the warnings in the log.'
    when v_status.unrolled_since < p_now - interval '1 hour' then
      'A transaction has been open for more than an hour, in any database of the server: see pg_stat_activity and pg_prepared_xacts.'
  end;
  return v_status;
end;
$$;
comment on function spend_private.maintenance_status is
  'spend.maintenance_status with a clock.';

create function spend_private.cron_schedule(p_pattern text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if to_regclass('cron.job') is null then
    return null;
  end if;
  return (
    select j.schedule
    from cron.job as j
    where j.active and j.database = current_database() and j.command ~ p_pattern
    order by j.jobid
    limit 1
  );
exception
  when insufficient_privilege then
    return null;
end;
$$;
comment on function spend_private.cron_schedule is
  'Schedule of the first active job of pg_cron in this database whose command matches p_pattern; null when there is none, or the owner may not see it.';

create function spend_private.undelivered_alerts(p_now timestamptz default now())
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select count(*)
    from spend.alert_deliveries as d
    where d.delivered_at is null and d.ended_at is null and d.created_at < p_now - interval '5 minutes'
  );
end;
$$;
comment on function spend_private.undelivered_alerts is
  'Deliveries of alerts that wait for more than five minutes.';

create function spend_private.given_up_alerts(p_now timestamptz default now())
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select count(*)
    from spend.alert_deliveries as d
    -- Not those that ended because somebody acknowledged the alert, or disabled the channel.
    where d.ended_at > p_now - interval '1 day' and d.is_given_up
  );
end;
$$;
comment on function spend_private.given_up_alerts is
  'Deliveries of alerts that were given up in the last day.';
