create table spend.alert_mutes (
  id bigint generated always as identity primary key,
  tenant_id uuid references spend.tenants (id) on delete cascade,
  kind text,
  quota_id bigint,
  until timestamptz not null,
  created_by uuid,
  created_at timestamptz not null default now(),
  constraint muted_kind_is_known check (
    kind in (
      'quota_warning', 'quota_exceeded', 'forecast_exceeded', 'unusual_spend', 'reservations_expired',
      'settle_failed', 'sandbox_orphaned', 'price_missing', 'verification_failed', 'job_failed'
    )
  )
);
comment on table spend.alert_mutes is
  'Times of silence: alerts that come until then are recorded and not sent. A tenant''s silences its own channels; one without a tenant those of the platform. Written by spend.mute_alerts and spend.unmute_alerts.';
comment on column spend.alert_mutes.id is 'What spend.unmute_alerts takes.';
comment on column spend.alert_mutes.tenant_id is 'Tenant whose channels are silent; null: the platform''s.';
comment on column spend.alert_mutes.kind is 'Only alerts of this kind; null: all.';
comment on column spend.alert_mutes.quota_id is 'Only alerts about this quota; null: all.';
comment on column spend.alert_mutes.until is 'When it ends. Rows are deleted a day later.';
comment on column spend.alert_mutes.created_by is 'Who muted, of auth.users; null: the secret key, or SQL.';
comment on column spend.alert_mutes.created_at is 'When it was added.';

create index alert_mutes_tenant_id_until_idx on spend.alert_mutes (tenant_id, until);
create index alert_mutes_until_idx on spend.alert_mutes (until);

alter table spend.alert_mutes enable row level security;
create policy "admins read their tenant's mutes, operators all" on spend.alert_mutes
for select to authenticated
using (
  tenant_id = any (array(select spend_private.managed_tenant_ids()))
  or tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
  or (tenant_id is null and (select spend_private.operator_role()) is not null)
);
grant select on spend.alert_mutes to authenticated, service_role;
