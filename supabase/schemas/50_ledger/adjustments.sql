create table spend_private.adjustments (
  tenant_id uuid not null,
  idempotency_key text not null,
  request_hash uuid not null,
  event_id bigint not null,
  primary key (tenant_id, idempotency_key)
);
comment on table spend_private.adjustments is
  'Idempotency keys of spend.adjust, and the events that they wrote.';
alter table spend_private.adjustments enable row level security;
