create function spend_private.schedule_job(p_name text, p_schedules text[], p_command text)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_schedule text;
begin
  -- Each attempt in a block of its own: a failure undoes nothing else.
  foreach v_schedule in array p_schedules loop
    begin
      perform cron.schedule(p_name, v_schedule, p_command);
      return v_schedule;
    exception
      when others then
        raise warning '%', format('pg_cron rejects %s at "%s": %s', p_name, v_schedule, sqlerrm);
    end;
  end loop;
  return null;
end;
$$;
comment on function spend_private.schedule_job is
  'Schedules a command in pg_cron with the first of p_schedules that it accepts, and returns that one; null when it accepts none. Raises a warning for each that it rejects. Scheduling the same name again replaces the job.';

create function spend_private.schedule_maintenance()
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_maintain text := spend_private.schedule_job('spend-maintain', '{"* * * * *"}', 'call spend.run_maintenance()');
  -- Often and in small transactions: the balances of a batch are locked until it commits. pg_cron before 1.5 knows no
  -- seconds; run_maintenance expires holds too, first of all.
  v_expire text := spend_private.schedule_job(
    'spend-expire', '{"10 seconds", "* * * * *"}', 'select spend.expire_reservations(200)'
  );
begin
  if v_maintain is null then
    raise warning 'Nothing runs spend.run_maintenance(). Call it every minute by other means, or the edge function maintenance.';
  end if;
  return v_maintain is not null and v_expire is not null;
end;
$$;
comment on function spend_private.schedule_maintenance is
  'Schedules spend.run_maintenance() every minute and spend.expire_reservations every ten seconds in pg_cron (before pg_cron 1.5, which knows no seconds: every minute, with a warning); returns whether both are. Call it again after pg_cron was installed or updated.';

-- Hosted Supabase has pg_cron, other servers may not: there, call spend.run_maintenance() every minute by other means
-- (the edge function `maintenance` does the same). spend.maintenance_status() says whether anything does.
do $$
begin
  if not exists (select from pg_catalog.pg_available_extensions as e where e.name = 'pg_cron') then
    return;
  end if;
  begin
    create extension if not exists pg_cron with schema pg_catalog;
  exception
    -- A server has pg_cron in one database only: not in a copy that is made to compare schemas.
    when others then
      raise warning 'pg_cron is not used here: %. Call spend.run_maintenance() every minute by other means.', sqlerrm;
      return;
  end;
  perform spend_private.schedule_maintenance();
end;
$$;
