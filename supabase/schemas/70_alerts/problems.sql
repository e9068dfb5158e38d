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
  'What maintenance could not do, one row per job and subject; everything else was done. Open while resolved_at is null. Written only by spend_private.record_problem and resolve_problems; service_role reads it.';
comment on column spend.problems.id is 'What an alert''s facts name as problem_id.';
comment on column spend.problems.job is 'Job of spend.maintain(), or the name of another worker: reconcile for the sandboxes.';
comment on column spend.problems.subject is 'What it failed at: tenant/reservation, a quota''s id, a month, a context''s id; job where the whole job failed.';
comment on column spend.problems.message is 'The last error, in the database''s or the provider''s words.';
comment on column spend.problems.details is 'Details of the last error: {"sqlstate", "constraint", "table"}, ids.';
comment on column spend.problems.times is 'How often it failed in all.';
comment on column spend.problems.first_seen_at is 'When it failed first.';
comment on column spend.problems.last_seen_at is 'When it failed last.';
comment on column spend.problems.retry_at is 'The job skips the subject until then: a minute after the first failure, twice as long after each further one, an hour at most. Set it to now() to retry in the next run.';
comment on column spend.problems.resolved_at is 'When the job succeeded with it. Null while the problem is open.';

-- The open problems of a job: few, however many were resolved.
create index problems_open_idx on spend.problems (job, retry_at) where resolved_at is null;
create index problems_resolved_at_idx on spend.problems (resolved_at) where resolved_at is not null;

alter table spend.problems enable row level security;
create policy "operators read problems" on spend.problems
for select to authenticated using ((select spend_private.operator_role()) is not null);
grant select on spend.problems to authenticated, service_role;
