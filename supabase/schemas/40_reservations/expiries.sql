create table spend_private.expiries (
  tenant_id uuid not null,
  id bigint generated always as identity,
  hour timestamptz not null,
  reservations bigint not null,
  usd numeric(24, 12) not null,
  primary key (tenant_id, id)
);
comment on table spend_private.expiries is
  'How many reservations each batch expired of a tenant, for the alert reservations_expired. Written by spend_private.expire_together; kept for a day.';
comment on column spend_private.expiries.hour is 'Hour of UTC in which they expired.';
comment on column spend_private.expiries.usd is 'USD that was charged: their estimates.';

create index expiries_hour_idx on spend_private.expiries (hour);
alter table spend_private.expiries enable row level security;
