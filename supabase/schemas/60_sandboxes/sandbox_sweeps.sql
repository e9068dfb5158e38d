create table spend_private.sandbox_sweeps (
  project text primary key,
  next_token text,
  swept_at timestamptz not null,
  constraint next_token_is_short check (length(next_token) <= 2000)
);
comment on table spend_private.sandbox_sweeps is
  'How far reconciliation has read E2B''s list of paused sandboxes: some pages in each run, then from the start again. Written only by spend.sweep_to.';
comment on column spend_private.sandbox_sweeps.project is 'SPENDGATE_PROJECT, whose sandboxes they are.';
comment on column spend_private.sandbox_sweeps.next_token is 'E2B''s token of the next page; null: the first one.';
comment on column spend_private.sandbox_sweeps.swept_at is 'When the last page was read.';

alter table spend_private.sandbox_sweeps enable row level security;
