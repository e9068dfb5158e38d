create table spend_private.job_runs (
  job text primary key,
  done_at timestamptz not null,
  next_page bigint
)
with (fillfactor = 50);
comment on table spend_private.job_runs is
  'When each job of spend.maintain() was last done. Written only by spend_private.run_job; spend.maintenance_status() reads it.';
comment on column spend_private.job_runs.job is 'Job of spend.maintenance_jobs().';
comment on column spend_private.job_runs.done_at is 'When it last succeeded. Failures are in spend.problems.';
comment on column spend_private.job_runs.next_page is 'Of delete_reservations: the page of the table at which its next step begins. Null: of any other job.';
alter table spend_private.job_runs enable row level security;
