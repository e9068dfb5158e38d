create table spend_private.adjustments (
  tenant_id uuid not null,
  idempotency_key text not null,
  request_hash uuid not null,
  event_id bigint not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, idempotency_key)
);
comment on table spend_private.adjustments is
  'Idempotency keys of spend.adjust, and the events that they wrote. Kept for spend.settings.keep_reservation_days.';
create index adjustments_created_at_idx on spend_private.adjustments (created_at);

alter table spend_private.adjustments enable row level security;
