create table spend_private.stray_sandboxes (
  tenant_id uuid not null,
  sandbox_id text not null,
  paid_until timestamptz not null,
  primary key (tenant_id, sandbox_id)
);
comment on table spend_private.stray_sandboxes is
  'Sandboxes that ran without a context, and until when their seconds are charged. Written only by spend.book_stray_sandbox.';

create index stray_sandboxes_paid_until_idx on spend_private.stray_sandboxes (paid_until);

alter table spend_private.stray_sandboxes enable row level security;
