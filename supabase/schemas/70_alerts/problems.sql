create table spend.problems (
  id bigint generated always as identity primary key,
  job text not null,
  subject text not null,
  message text not null,
  details jsonb not null default '{}',
  times bigint not null default 1,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  retry_at timestamptz not null default now(),
  resolved_at timestamptz,
  constraint one_problem_per_subject unique (job, subject),
  constraint times_is_positive check (times > 0)
);
comment on table spend.problems is
  'What maintenance could not do, one row per job and thing that it failed at: the others were done without it. Open while resolved_at is null. Written by spend_private.record_problem and resolve_problem alone; service_role reads it.';
comment on column spend.problems.id is 'What an alert''s facts name as problem_id.';
comment on column spend.problems.job is 'Job of spend.maintain(), or the name of another worker: reconcile for the sandboxes.';
comment on column spend.problems.subject is 'What it failed at: tenant/reservation, a quota''s id, a month, a context''s id; job where all of the job failed.';
comment on column spend.problems.message is 'The last error, in the database''s or the provider''s words.';
comment on column spend.problems.details is 'What else is known of the last error: {"sqlstate", "constraint", "table"}, ids.';
comment on column spend.problems.times is 'How often it failed, over all.';
comment on column spend.problems.first_seen_at is 'When it failed first.';
comment on column spend.problems.last_seen_at is 'When it failed last.';
comment on column spend.problems.retry_at is 'The job passes over the subject until then: a minute after the first failure, twice as long after each further one, an hour at most. Set it to now() for a try in the next run.';
comment on column spend.problems.resolved_at is 'When it was done after all. Null while the problem is open.';

-- The open ones of a job: few, whatever was resolved before.
create index problems_open_idx on spend.problems (job, retry_at) where resolved_at is null;
create index problems_resolved_at_idx on spend.problems (resolved_at) where resolved_at is not null;

alter table spend.problems enable row level security;
grant select on spend.problems to service_role;

create function spend_private.record_problem(
  p_job text,
  p_subject text,
  p_message text,
  p_details jsonb default '{}',
  p_now timestamptz default now()
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_before spend.problems;
  v_problem spend.problems;
begin
  select * into v_before
  from spend.problems as p
  where p.job = p_job and p.subject = p_subject
  for no key update;

  insert into spend.problems as p (
    job, subject, message, details, first_seen_at, last_seen_at, retry_at
  )
  values (
    p_job, p_subject, p_message, coalesce(p_details, '{}'), p_now, p_now, p_now + interval '1 minute'
  )
  on conflict on constraint one_problem_per_subject do update set
    message = excluded.message, details = excluded.details, times = p.times + 1,
    last_seen_at = p_now, resolved_at = null,
    retry_at = p_now + least(interval '1 minute' * 2 ^ least(p.times, 10), interval '1 hour')
  returning p.* into v_problem;

  -- New, or back again. Two that meet it first at once tell of it once: the second finds times = 2.
  if v_problem.times = 1 or v_before.resolved_at is not null then
    insert into spend.alerts (kind, facts, created_at, next_attempt_at)
    values (
      case p_job when 'verify' then 'verification_failed' else 'job_failed' end,
      jsonb_build_object(
        'problem_id', v_problem.id, 'job', p_job, 'subject', p_subject, 'message', p_message,
        'details', v_problem.details
      ),
      p_now, p_now
    );
  end if;
end;
$$;
comment on function spend_private.record_problem is
  'Puts what a job failed at on record (spend.problems), and one alert for when it is new or back after it was resolved: verification_failed for job verify, else job_failed. Again while it is open: counts, and tries less often. The jobs call it.';

create function spend_private.is_put_off(p_job text, p_subject text, p_now timestamptz default now())
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from spend.problems as p
    where p.job = p_job and p.subject = p_subject and p.resolved_at is null and p.retry_at > p_now
  );
end;
$$;
comment on function spend_private.is_put_off is
  'Whether a job failed at a subject a moment ago, and is to pass over it.';

create function spend_private.resolve_problem(
  p_job text,
  p_subject text,
  p_now timestamptz default now()
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.resolve_problems(p_job, array[p_subject], p_now);
end;
$$;
comment on function spend_private.resolve_problem is
  'Closes the problem of a job with a subject, if there is an open one. The jobs call it.';

create function spend_private.resolve_problems(
  p_job text,
  p_subjects text[],
  p_now timestamptz default now()
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  update spend.problems as p set resolved_at = p_now
  where p.job = p_job and p.resolved_at is null and p.subject = any (p_subjects);
end;
$$;
comment on function spend_private.resolve_problems is
  'resolve_problem for many subjects.';

create function spend.report_problems(job text, problems jsonb)
returns integer
language plpgsql volatile
-- Definer: problems are written by functions alone.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_problem record;
  v_subjects text[] := '{}';
begin
  if report_problems.job is null or length(report_problems.job) not between 1 and 100
    or report_problems.job = any (array(select j.job from spend.maintenance_jobs() as j))
    or jsonb_typeof(report_problems.problems) is distinct from 'array'
    or jsonb_path_exists(report_problems.problems, '$[*] ? (@.type() != "object")')
  then
    perform spend_private.fail(
      '22023', 'invalid_problem', jsonb_build_object('job', report_problems.job),
      'job: a name that is not one of spend.maintenance_jobs(). problems: [{"subject", "message", "details"}, …].'
    );
  end if;
  for v_problem in
    select
      coalesce(left(p.subject, 500), 'job') as subject, coalesce(left(p.message, 2000), 'unknown') as message,
      p.details
    from jsonb_to_recordset(report_problems.problems) as p (subject text, message text, details jsonb)
    order by 1
  loop
    perform spend_private.record_problem(
      report_problems.job, v_problem.subject, v_problem.message, v_problem.details
    );
    v_subjects := v_subjects || v_problem.subject;
  end loop;

  update spend.problems as p set resolved_at = now()
  where p.job = report_problems.job and p.resolved_at is null and p.subject <> all (v_subjects);
  return cardinality(v_subjects);
end;
$$;
comment on function spend.report_problems is
  'What a worker outside of the database failed at in a run over everything: records each of problems, [{"subject","message","details"}, …], and closes those of the job that are not among them. Returns how many are open. The edge function maintenance calls it for job reconcile.
Errors: 22023 invalid_problem. For service_role.';
grant execute on function spend.report_problems to service_role;
