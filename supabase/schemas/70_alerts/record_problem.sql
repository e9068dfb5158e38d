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

  -- New, or back again. Of two concurrent first failures only one records an alert: the second finds times = 2.
  if v_problem.times = 1 or v_before.resolved_at is not null then
    insert into spend.alerts (kind, subject, facts, created_at)
    values (
      case p_job when 'verify' then 'verification_failed' else 'job_failed' end, p_job || '/' || p_subject,
      jsonb_build_object(
        'problem_id', v_problem.id, 'job', p_job, 'subject', p_subject, 'message', p_message,
        'details', v_problem.details
      ),
      p_now
    );
  end if;
end;
$$;
comment on function spend_private.record_problem is
  'Records what a job failed at (spend.problems), with an alert when it is new, or back after it was resolved: verification_failed for job verify, else job_failed. While it is open, counts failures and delays retries. Called by the jobs.';

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
  'Whether a job failed at a subject recently, and skips it for now.';
