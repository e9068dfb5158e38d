begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(26);

-- pg_cron as it is in 1.4 and before, which knows no seconds, and since.
drop extension if exists pg_cron cascade;
drop schema if exists cron cascade;
create function pg_temp.status() returns spend.maintenance_status language sql as $$ select spend.maintenance_status() $$;

-- Without it
select is((pg_temp.status()).is_running, false, 'nothing was done yet');
select is((pg_temp.status()).scheduled_by, null, 'and nobody is to do it');
select alike((pg_temp.status()).remedy, 'Nobody runs maintenance%', 'the remedy says so');
select is(cardinality((pg_temp.status()).late_jobs), (select count(*)::integer from spend.maintenance_jobs()), 'every job is late');
set local client_min_messages = error;
select is(spend_private.schedule_maintenance(), false, 'without pg_cron nothing can be scheduled, and nothing fails');
reset client_min_messages;
select spend.maintain();
select spend.maintain();
select is((pg_temp.status()).is_running, true, 'somebody runs it');
select is((pg_temp.status()).scheduled_by, 'other', 'who is not pg_cron');
select is((pg_temp.status()).late_jobs, '{}', 'no job is late');
select is((pg_temp.status()).last_run_at, now(), 'the last run is known');
select is((pg_temp.status()).remedy, null, 'all is right');
select is((spend_private.maintenance_status(now() + interval '6 minutes')).is_running, false, 'six minutes later nobody is at it');
select is(
  (spend_private.maintenance_status(now() + interval '6 minutes')).scheduled_by, null, 'nor is to be'
);
update spend_private.job_runs set done_at = now() - interval '61 minutes' where job in ('roll_up', 'verify');
select is((pg_temp.status()).late_jobs, '{roll_up,verify}', 'two jobs that were not done for an hour');
select alike((pg_temp.status()).remedy, '%spend.problems%', 'the remedy says where to look');
update spend_private.job_runs set done_at = now();
select spend_private.record_problem('verify', 'quota 1', 'off');
select is((pg_temp.status()).open_problems, 1::bigint, 'a problem that is open');
select spend_private.resolve_problem('verify', 'quota 1');
select is((pg_temp.status()).open_problems, 0::bigint, 'and one that was mended');

-- The tail that is not rolled up
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
select spend_private.adjust('aaaaaaaa-0000-4000-8000-000000000001', 1, 'credit', p_now => now() - interval '2 hours');
select spend.adjust('aaaaaaaa-0000-4000-8000-000000000001', 1, 'credit');
select is((pg_temp.status()).unrolled_events, 2::bigint, 'two bookings are not in the roll-ups');
select is((pg_temp.status()).unrolled_since, now() - interval '2 hours', 'one of them since two hours');
select alike((pg_temp.status()).remedy, '%pg_prepared_xacts%', 'a transaction must be open somewhere');

-- With pg_cron 1.4
create schema cron;
create table cron.job (jobid bigint generated always as identity, jobname text unique, schedule text, command text, database text default current_database(), active boolean default true);
create function cron.schedule(p_name text, p_schedule text, p_command text) returns bigint language plpgsql as $$
begin
  if p_schedule !~ '^(\S+ ){4}\S+$' then
    raise exception 'invalid schedule: %', p_schedule;
  end if;
  insert into cron.job (jobname, schedule, command) values (p_name, p_schedule, p_command)
  on conflict (jobname) do update set schedule = excluded.schedule, command = excluded.command;
  return 1;
end;
$$;
set local client_min_messages = error;
select is(spend_private.schedule_maintenance(), true, 'pg_cron that knows no seconds: both are scheduled');
reset client_min_messages;
select results_eq(
  'select jobname, schedule, command from cron.job order by 1',
  $$values ('spend-expire', '* * * * *', 'select spend.expire_reservations(200)'), ('spend-maintain', '* * * * *', 'call spend.run_maintenance()')$$,
  'every minute'
);
select row_eq(
  'select (s).scheduled_by, (s).maintain_schedule, (s).expire_schedule from (select pg_temp.status() as s) as t', row('pg_cron'::text, '* * * * *'::text, '* * * * *'::text), 'the status says so'
);

-- And 1.5
create or replace function cron.schedule(p_name text, p_schedule text, p_command text) returns bigint language sql as $$
  insert into cron.job (jobname, schedule, command) values (p_name, p_schedule, p_command)
  on conflict (jobname) do update set schedule = excluded.schedule, command = excluded.command
  returning 1::bigint
$$;
select is(spend_private.schedule_maintenance(), true, 'pg_cron was updated: again');
select is((pg_temp.status()).expire_schedule, '10 seconds', 'now every ten seconds');
update cron.job set active = false where jobname = 'spend-expire';
update cron.job set command = 'select net.http_post(url := ''https://x.supabase.co/functions/v1/maintenance'')' where jobname = 'spend-maintain';
select is((pg_temp.status()).expire_schedule, null, 'what is paused does not count');
update spend_private.job_runs set done_at = now() - interval '6 minutes';
select alike((pg_temp.status()).remedy, 'pg_cron has the schedule%', 'it calls the edge function, and nothing comes of it');
select * from finish();
rollback;
