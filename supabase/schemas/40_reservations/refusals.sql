create table spend_private.refusals (
  tenant_id uuid not null,
  idempotency_key text not null,
  request_hash uuid not null,
  answer spend.reserve_result not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, idempotency_key)
);
comment on table spend_private.refusals is
  'Refused calls that carried an idempotency key, so that the same request gets the same answer. Kept for a day, then spend.maintain() deletes them.';

create index refusals_created_at_idx on spend_private.refusals (created_at);

alter table spend_private.refusals enable row level security;
