create table spend.alert_channels (
  id bigint generated always as identity primary key,
  tenant_id uuid references spend.tenants (id) on delete cascade,
  kind text not null,
  name text not null,
  kinds text[],
  scopes text[],
  quiet_minutes integer not null default 60,
  is_enabled boolean not null default true,
  target_hint text not null default '',
  created_at timestamptz not null default now(),
  created_by uuid,
  constraint one_channel_per_name unique nulls not distinct (tenant_id, name),
  constraint channel_kind_is_known check (kind in ('slack', 'pagerduty', 'email', 'webhook')),
  constraint channel_name_is_not_empty check (length(name) between 1 and 100),
  constraint alert_kinds_are_known check (
    kinds <@ array[
      'quota_warning', 'quota_exceeded', 'forecast_exceeded', 'unusual_spend', 'reservations_expired',
      'settle_failed', 'sandbox_orphaned', 'price_missing', 'verification_failed', 'job_failed'
    ] and kinds <> '{}'
  ),
  constraint alert_scopes_are_known check (
    scopes <@ array['platform', 'tenant', 'user', 'operator'] and scopes <> '{}'
  ),
  constraint quiet_minutes_are_in_range check (quiet_minutes between 0 and 10080)
);
comment on table spend.alert_channels is
  'Where alerts go: the platform''s channels (tenant_id null), and each tenant''s own, which get that tenant''s alerts alone. Written by spend.save_alert_channel and spend.delete_alert_channel; targets and secrets are kept where no role of the Data API can read them.';
comment on column spend.alert_channels.id is 'What spend.delete_alert_channel takes.';
comment on column spend.alert_channels.tenant_id is 'Tenant whose channel it is; null for the platform''s.';
comment on column spend.alert_channels.kind is 'slack, pagerduty, email or webhook.';
comment on column spend.alert_channels.name is 'For people; one channel of a tenant, or of the platform, has it.';
comment on column spend.alert_channels.kinds is 'Kinds of alerts that it takes (spend.alerts.kind); null: all.';
comment on column spend.alert_channels.scopes is 'Scopes of alerts that it takes: those of quotas (platform, tenant, user), tenant for what else is about a tenant''s spend, operator for what is about the operation; null: all.';
comment on column spend.alert_channels.quiet_minutes is 'An alert of the same kind, about the same quota and threshold or the same subject, is not sent again within so many minutes of the last one; 0: always sent. At most 10080, a week.';
comment on column spend.alert_channels.is_enabled is 'False: nothing is sent to it.';
comment on column spend.alert_channels.target_hint is 'As much of the target as may be shown: the host of a URL, the end of a routing key, the addresses.';
comment on column spend.alert_channels.created_at is 'When it was added.';
comment on column spend.alert_channels.created_by is 'Who added it, of auth.users; null: the secret key, or SQL.';

alter table spend.alert_channels enable row level security;
create policy "admins read their tenant's channels, operators all" on spend.alert_channels
for select to authenticated
using (
  tenant_id = any (array(select spend_private.managed_tenant_ids()))
  or tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
  or (tenant_id is null and (select spend_private.operator_role()) is not null)
);
grant select on spend.alert_channels to authenticated, service_role;

create table spend_private.alert_channel_secrets (
  channel_id bigint primary key references spend.alert_channels (id) on delete cascade,
  secret text,
  vault_id uuid,
  constraint secret_is_in_one_place check (num_nonnulls(secret, vault_id) = 1)
);
comment on table spend_private.alert_channel_secrets is
  'Target and secret of each channel: JSON, {"target", "secret"}, in Vault where it exists, else here. No role of the Data API reads either.';
comment on column spend_private.alert_channel_secrets.channel_id is 'Channel, of spend.alert_channels.';
comment on column spend_private.alert_channel_secrets.secret is 'The JSON, where there is no Vault.';
comment on column spend_private.alert_channel_secrets.vault_id is 'Row of vault.secrets that has the JSON.';
alter table spend_private.alert_channel_secrets enable row level security;
