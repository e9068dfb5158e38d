create table spend_private.verification_state (
  is_only_row boolean primary key default true,
  stage text not null default 'platform',
  tenant_id uuid,
  after_quota_id bigint,
  after_reservation_id uuid,
  from_hour timestamptz,
  cycle_started_at timestamptz not null default now(),
  cycle_ended_at timestamptz,
  after_provider text,
  after_product text,
  constraint is_only_row check (is_only_row),
  constraint stage_is_known check (stage in ('platform', 'quotas', 'reservations', 'ledger'))
);
comment on table spend_private.verification_state is
  'How far spend.maintain() has verified, slice by slice (spend_private.verify_slice): the platform''s quotas, then each tenant''s quotas, reservations and ledger; beside these, the price book. One row.';
comment on column spend_private.verification_state.stage is 'What the next slice verifies, from the after_ or from_ column on.';
comment on column spend_private.verification_state.cycle_started_at is 'When the cycle that runs began.';
comment on column spend_private.verification_state.cycle_ended_at is 'When the last full cycle ended. Null: none has yet.';
comment on column spend_private.verification_state.after_product is 'Of after_provider: the last product whose prices were verified. Null: the next is the first.';
alter table spend_private.verification_state enable row level security;
insert into spend_private.verification_state default values;
