create table spend.alerts (
  id bigint generated always as identity primary key,
  tenant_id uuid,
  quota_id bigint,
  period_start timestamptz,
  kind text not null,
  threshold numeric(4, 3),
  details spend.quota_details,
  limit_usd numeric(24, 12) generated always as ((details).limit_usd) stored,
  facts jsonb,
  caused_by_tenant_id uuid,
  created_at timestamptz not null default now(),
  ended_at timestamptz,
  delivered_at timestamptz,
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  last_error text,
  constraint kind_is_known check (kind in ('warning', 'limit', 'verification_failed', 'job_failed')),
  constraint attempts_are_not_negative check (attempts >= 0),
  constraint is_about_a_quota_or_has_facts check (
    case
      when kind in ('warning', 'limit')
        then num_nulls(quota_id, period_start, threshold, details) = 0 and facts is null
      else num_nonnulls(tenant_id, quota_id, period_start, threshold, details) = 0 and facts is not null
    end
  )
);
comment on table spend.alerts is
  'Outbox. Kinds warning and limit: the spend of a quota in a period, without holds, has reached its warning threshold or its limit, or a call was refused near the limit; once for each limit that the quota has had in the period, and again after spend fell below it. Kinds verification_failed and job_failed: for the operator, not about a quota. Written in the transaction that found it.';
comment on column spend.alerts.id is 'What finish_alert takes.';
comment on column spend.alerts.tenant_id is 'Null for quotas of the platform, and for alerts that are not about a quota.';
comment on column spend.alerts.quota_id is 'Quota, of spend.cost_quotas, which may be gone; null for alerts that are not about a quota.';
comment on column spend.alerts.period_start is 'Start of the quota''s period; -infinity for lifetime quotas.';
comment on column spend.alerts.kind is 'warning or limit: about a quota. verification_failed or job_failed: about maintenance, for the operator.';
comment on column spend.alerts.threshold is 'Share of the limit that was reached: the quota''s warning threshold, or 1. Below 1 in a limit alert: a call was refused for lack of room.';
comment on column spend.alerts.limit_usd is 'Limit when the alert was recorded. A changed limit gets alerts of its own.';
comment on column spend.alerts.details is 'The quota when the alert was recorded, in USD.';
comment on column spend.alerts.facts is 'What the other kinds tell: {"problem_id", "job", "subject", "message", "details"}.';
comment on column spend.alerts.caused_by_tenant_id is 'Tenant whose call crossed the threshold.';
comment on column spend.alerts.created_at is 'When it was recorded.';
comment on column spend.alerts.ended_at is 'When a credit or a correction took spend below the threshold again: reaching it once more records a new alert.';
comment on column spend.alerts.delivered_at is 'When a receiver accepted it.';
comment on column spend.alerts.attempts is 'How often it was claimed for delivery.';
comment on column spend.alerts.next_attempt_at is 'Next attempt to deliver it, not before: a deliverer that crashes costs only time.';
comment on column spend.alerts.last_error is 'Why the last attempt failed.';

-- Starts with the columns that a call knows: a look-up is one probe, however many alerts there are.
create unique index alerts_once_idx
on spend.alerts (quota_id, period_start, kind, threshold, limit_usd) where ended_at is null;
create index alerts_undelivered_idx on spend.alerts (next_attempt_at, id) where delivered_at is null;
create index alerts_tenant_id_id_idx on spend.alerts (tenant_id, id);
create index alerts_created_at_idx on spend.alerts (created_at);

alter table spend.alerts enable row level security;
-- An array, not a sub-select: an index on tenant_id can find what it lists.
create policy "admins read their tenant's alerts, operators all" on spend.alerts
for select to authenticated
using (
  tenant_id = any (array(select spend_private.managed_tenant_ids()))
  or tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
  or (tenant_id is null and (select spend_private.operator_role()) is not null)
);
grant select on spend.alerts to authenticated, service_role;
