begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(38);

-- pg_cron as it is in 1.4 and before, which knows no seconds, and since.
drop extension if exists pg_cron cascade;
drop schema if exists cron cascade;
create function pg_temp.status() returns spend.maintenance_status language sql as $$ select spend.maintenance_status() $$;

-- Without it
select is((pg_temp.status()).is_running, false, 'Before the first run, maintenance is not running');
select is((pg_temp.status()).scheduled_by, null, 'Before the first run, nobody schedules maintenance');
select alike((pg_temp.status()).remedy, 'Nobody runs maintenance%', 'The remedy says that nobody runs maintenance');
select is(cardinality((pg_temp.status()).late_jobs), (select count(*)::integer from spend.maintenance_jobs()), 'Before the first run, every job is late');
set local client_min_messages = error;
select is(spend_private.schedule_maintenance(), false, 'Without pg_cron schedule_maintenance answers false, and does not fail');
reset client_min_messages;
select spend.maintain();
select spend.maintain();
select is((pg_temp.status()).is_running, true, 'After two runs by hand, maintenance is running');
select is((pg_temp.status()).scheduled_by, 'other', 'After runs by hand, maintenance is scheduled by something other than pg_cron');
select is((pg_temp.status()).late_jobs, '{}', 'After two runs no job is late');
select is((pg_temp.status()).last_run_at, now(), 'The status has the time of the last run');
select is((pg_temp.status()).remedy, null, 'When all is well there is no remedy');
select is((spend_private.maintenance_status(now() + interval '6 minutes')).is_running, false, 'Six minutes after the last run, maintenance is not running');
select is(
  (spend_private.maintenance_status(now() + interval '6 minutes')).scheduled_by, null, 'Six minutes after the last run, nobody schedules it'
);
update spend_private.job_runs set done_at = now() - interval '61 minutes' where job in ('roll_up', 'verify');
select is((pg_temp.status()).late_jobs, '{roll_up,verify}', 'Two jobs that were not done for 61 minutes are late');
select alike((pg_temp.status()).remedy, '%spend.problems%', 'The remedy for late jobs points to spend.problems');
update spend_private.job_runs set done_at = now();
select spend_private.record_problem('verify', 'quota 1', 'off');
select is((pg_temp.status()).open_problems, 1::bigint, 'The status counts an open problem');
select spend_private.resolve_problem('verify', 'quota 1');
select is((pg_temp.status()).open_problems, 0::bigint, 'The status does not count a resolved problem');

-- The tail that is not rolled up
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
select spend_private.adjust('aaaaaaaa-0000-4000-8000-000000000001', 1, 'credit', p_now => now() - interval '2 hours');
select spend.adjust('aaaaaaaa-0000-4000-8000-000000000001', 1, 'credit');
select is((pg_temp.status()).unrolled_events, 2::bigint, 'The status counts two events that are not rolled up');
select is((pg_temp.status()).unrolled_since, now() - interval '2 hours', 'The status says since when the oldest of them waits');
select alike((pg_temp.status()).remedy, '%pg_prepared_xacts%', 'The remedy for events that stay out of the roll-ups names pg_prepared_xacts');

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
select is(spend_private.schedule_maintenance(), true, 'With pg_cron 1.4, both schedules are made');
reset client_min_messages;
select results_eq(
  'select jobname, schedule, command from cron.job order by 1',
  $$values ('spend-expire', '* * * * *', 'select spend.expire_reservations(200)'), ('spend-maintain', '* * * * *', 'call spend.run_maintenance()')$$,
  'With pg_cron 1.4, both run every minute'
);
select row_eq(
  'select (s).scheduled_by, (s).maintain_schedule, (s).expire_schedule from (select pg_temp.status() as s) as t', row('pg_cron'::text, '* * * * *'::text, '* * * * *'::text), 'The status shows pg_cron and both schedules'
);

-- And 1.5
create or replace function cron.schedule(p_name text, p_schedule text, p_command text) returns bigint language sql as $$
  insert into cron.job (jobname, schedule, command) values (p_name, p_schedule, p_command)
  on conflict (jobname) do update set schedule = excluded.schedule, command = excluded.command
  returning 1::bigint
$$;
select is(spend_private.schedule_maintenance(), true, 'After an update to pg_cron 1.5, schedule_maintenance runs again');
select is((pg_temp.status()).expire_schedule, '10 seconds', 'With pg_cron 1.5, reservations expire every ten seconds');
update cron.job set active = false where jobname = 'spend-expire';
update cron.job set command = 'select net.http_post(url := ''https://x.supabase.co/functions/v1/maintenance'')' where jobname = 'spend-maintain';
select is((pg_temp.status()).expire_schedule, null, 'A paused schedule does not count');
update spend_private.job_runs set done_at = now() - interval '6 minutes';
select alike((pg_temp.status()).remedy, 'pg_cron has the schedule%', 'The remedy says that pg_cron has the schedule of an edge function, and that nothing comes of it');

-- The edge functions, by pg_cron and pg_net. Without pg_net nothing is scheduled.
drop schema if exists vault cascade;
set local client_min_messages = error;
select is(spend.schedule_functions('https://x.supabase.co/functions/v1', 'sb_secret_x'), false, 'Without pg_net the functions are not scheduled');
reset client_min_messages;
select is_empty('select from spend_private.function_calls', 'And the secret key is not kept');
create schema net;
create table net.requests (url text, headers jsonb, timeout integer);
create function net.http_post(url text, body jsonb default '{}', params jsonb default '{}', headers jsonb default '{}', timeout_milliseconds integer default 5000) returns bigint language sql as $$
  insert into net.requests values (url, headers, timeout_milliseconds) returning 7::bigint
$$;
select is(spend.schedule_functions('https://x.supabase.co/functions/v1/', 'sb_secret_x'), true, 'With it they are');
select results_eq(
  $$ select jobname, schedule, command from cron.job where jobname like 'spend-call-%' order by 1 $$,
  $$ values ('spend-call-alerts', '* * * * *', 'select spend_private.call_function(''alerts'')'), ('spend-call-maintenance', '* * * * *', 'select spend_private.call_function(''maintenance'')') $$,
  'alerts and maintenance are called every minute, and no command has the secret key'
);
update cron.job set active = false where jobname = 'spend-maintain';
select is((pg_temp.status()).maintain_schedule, '* * * * *', 'The status knows that the function maintenance is called');
select is(spend_private.call_function('alerts'), 7::bigint, 'A call is a request of pg_net');
select is(
  (select row(url, headers, timeout)::text from net.requests),
  '(https://x.supabase.co/functions/v1/alerts,"{""apikey"": ""sb_secret_x"", ""content-type"": ""application/json""}",60000)', 'It posts to the function, with the secret key'
);
select spend.schedule_functions('https://y.supabase.co/functions/v1', 'sb_secret_y');
select spend_private.call_function('maintenance');
select is((select url || ' ' || (headers ->> 'apikey') from net.requests offset 1), 'https://y.supabase.co/functions/v1/maintenance sb_secret_y', 'Scheduled again, it has another URL and key');
create schema vault;
create table vault.secrets (id uuid primary key default gen_random_uuid(), name text, secret text);
create view vault.decrypted_secrets as select s.id, s.name, s.secret as decrypted_secret from vault.secrets as s;
create function vault.create_secret(new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null)
returns uuid language sql as $$ insert into vault.secrets (secret, name) values (new_secret, new_name) returning id $$;
select spend.schedule_functions('https://y.supabase.co/functions/v1', 'sb_secret_z');
select is((select secret_key from spend_private.function_calls), null, 'With Vault the key is not in our table');
select spend_private.call_function('maintenance');
select is((select headers ->> 'apikey' from net.requests offset 2), 'sb_secret_z', 'It is read from the vault');
select throws_ok(format('select spend.schedule_functions(%L, %L)', c.url, c.key), '22023', 'invalid_schedule', 'Refused: ' || c.url)
from (values ('ftp://x', 'k'), ('https://x.supabase.co/functions/v1', '')) as c (url, key);
select * from finish();
rollback;
