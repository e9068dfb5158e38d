create table spend.alerts (
  id bigint generated always as identity primary key,
  tenant_id uuid,
  quota_id bigint not null,
  period_start timestamptz not null,
  kind text not null,
  threshold numeric(4, 3) not null,
  details spend.quota_details not null,
  caused_by_tenant_id uuid,
  created_at timestamptz not null default now(),
  delivered_at timestamptz,
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  last_error text,
  constraint once_per_period unique nulls not distinct (tenant_id, quota_id, period_start, kind, threshold),
  constraint kind_is_known check (kind in ('warning', 'limit')),
  constraint attempts_are_not_negative check (attempts >= 0)
);
comment on table spend.alerts is
  'Outbox. One row per quota, period and threshold, written in the transaction that crossed it: kind warning at the quota''s warning_threshold, kind limit when the limit is reached or a call is refused.';
comment on column spend.alerts.tenant_id is 'Null for quotas of the platform.';
comment on column spend.alerts.threshold is 'Share of the limit; 1 for kind limit.';
comment on column spend.alerts.details is 'The quota when the alert was recorded, in USD.';
comment on column spend.alerts.attempts is 'How often somebody claimed it to deliver it.';
comment on column spend.alerts.next_attempt_at is 'Nobody else tries before: a deliverer that dies loses only time.';
comment on column spend.alerts.last_error is 'Why the last attempt failed.';
comment on column spend.alerts.caused_by_tenant_id is 'Tenant whose call crossed the threshold.';

create index alerts_undelivered_idx on spend.alerts (next_attempt_at, id) where delivered_at is null;

alter table spend.alerts enable row level security;
create policy "owners and admins read their tenant's alerts" on spend.alerts
for select to authenticated
using (tenant_id in (select spend_private.managed_tenant_ids()));
grant select on spend.alerts to authenticated, service_role;
