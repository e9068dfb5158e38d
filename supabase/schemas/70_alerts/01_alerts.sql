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
  subject text,
  routed_at timestamptz,
  acknowledged_at timestamptz,
  acknowledged_by uuid,
  constraint kind_is_known check (
    kind in (
      'quota_warning', 'quota_exceeded', 'forecast_exceeded', 'unusual_spend', 'reservations_expired',
      'settle_failed', 'sandbox_orphaned', 'price_missing', 'verification_failed', 'job_failed'
    )
  ),
  constraint is_about_a_quota_or_a_subject check (
    case
      when kind in ('quota_warning', 'quota_exceeded', 'forecast_exceeded')
        then num_nulls(quota_id, period_start, threshold, details) = 0 and subject is null
      when kind in ('verification_failed', 'job_failed')
        then num_nonnulls(tenant_id, quota_id, period_start, threshold, details) = 0
      else num_nonnulls(quota_id, threshold, details) = 0 and num_nulls(subject, period_start) = 0
    end
  ),
  constraint has_facts_or_is_about_a_threshold check (
    (facts is null) = (kind in ('quota_warning', 'quota_exceeded'))
  )
);
comment on table spend.alerts is
  'What somebody should know. quota_warning and quota_exceeded: the spend of a quota in a period, without holds, has reached one of its thresholds or its limit, or a call was refused near the limit; once for each limit that the quota has had in the period, and again after spend fell below it. forecast_exceeded: its spend will exceed the limit, if it goes on like this; once for each limit. The other kinds are about a tenant''s spend, or about the operation, once an hour and subject. Written in the transaction that found it; spend.claim_deliveries hands it to channels.';
comment on column spend.alerts.id is 'What spend.acknowledge_alert takes.';
comment on column spend.alerts.tenant_id is 'Null for quotas of the platform, and for what is about no tenant.';
comment on column spend.alerts.quota_id is 'Quota, of spend.cost_quotas, which may be gone; null for alerts that are not about a quota.';
comment on column spend.alerts.period_start is 'Start of the quota''s period; -infinity for lifetime quotas. Without a quota: start of the hour (unusual_spend: of the day) in which one alert per subject is recorded; null for verification_failed and job_failed.';
comment on column spend.alerts.kind is 'quota_warning, quota_exceeded, forecast_exceeded: about a quota. unusual_spend (a day stands out), reservations_expired (many calls never settled): about a tenant. settle_failed, sandbox_orphaned, price_missing, verification_failed, job_failed: for the operator.';
comment on column spend.alerts.threshold is 'Share of the limit that was reached, or will be: one of the quota''s warning thresholds, or 1. Below 1 in quota_exceeded: a call was refused for lack of room.';
comment on column spend.alerts.limit_usd is 'Limit when the alert was recorded. A changed limit gets alerts of its own.';
comment on column spend.alerts.details is 'The quota when the alert was recorded, in USD.';
comment on column spend.alerts.facts is 'What forecast_exceeded expects: {"expected_usd", "exhausted_at", "method"}. Of kinds without a quota {"message", "subject", "details"}, of verification_failed and job_failed with "problem_id" and "job". Money is text.';
comment on column spend.alerts.caused_by_tenant_id is 'Tenant whose call crossed the threshold.';
comment on column spend.alerts.created_at is 'When it was recorded.';
comment on column spend.alerts.ended_at is 'When a credit or a correction took spend below the threshold again: reaching it once more records a new alert.';
comment on column spend.alerts.delivered_at is 'When the last of its deliveries was done, and a receiver had accepted one. Null: not yet, or no channel takes it.';
comment on column spend.alerts.subject is 'What an alert without a quota is about: a day, an hour, a product, a sandbox, job/subject of a problem.';
comment on column spend.alerts.routed_at is 'When it was handed to the channels that take it (spend.alert_deliveries). Null: the next spend.claim_deliveries does that, for alerts of the last seven days.';
comment on column spend.alerts.acknowledged_at is 'When somebody said that they have seen it: what was not delivered by then is not sent.';
comment on column spend.alerts.acknowledged_by is 'Who that was, of auth.users; null for the secret key.';

-- Starts with the columns that a call knows: a look-up is one probe, however many alerts there are.
create unique index alerts_once_idx
on spend.alerts (quota_id, period_start, kind, threshold, limit_usd) where ended_at is null;
-- Starts with the columns by which report_failure counts.
create unique index alerts_once_per_subject_idx
on spend.alerts (kind, period_start, tenant_id, subject) nulls not distinct
where quota_id is null and period_start is not null;
create index alerts_unrouted_idx on spend.alerts (id) where routed_at is null;
create index alerts_tenant_id_id_idx on spend.alerts (tenant_id, id);
create index alerts_created_at_idx on spend.alerts (created_at);

create function spend_private.is_for_operators(p_kind text)
returns boolean
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select p_kind in ('settle_failed', 'sandbox_orphaned', 'price_missing', 'verification_failed', 'job_failed')
$$;
comment on function spend_private.is_for_operators is
  'Whether alerts of a kind are about the operation: for operators alone, also where they name a tenant.';
grant execute on function spend_private.is_for_operators to authenticated;

alter table spend.alerts enable row level security;
-- An array, not a sub-select: an index on tenant_id can find what it lists.
create policy "admins read their tenant's alerts, operators all" on spend.alerts
for select to authenticated
using (
  (tenant_id = any (array(select spend_private.managed_tenant_ids())) and not spend_private.is_for_operators(kind))
  or (
    tenant_id is not null
    and tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
    and ((select spend_private.operator_role()) in ('viewer', 'editor') or tenant_id >= spend_private.first_operated())
  )
  or (tenant_id is null and (select spend_private.operator_role()) in ('viewer', 'editor'))
);
grant select on spend.alerts to authenticated, service_role;
