create table spend.alert_deliveries (
  id bigint generated always as identity primary key,
  alert_id bigint not null references spend.alerts (id) on delete cascade,
  channel text not null,
  channel_id bigint references spend.alert_channels (id) on delete cascade,
  channel_kind text not null,
  event text not null,
  about text not null,
  created_at timestamptz not null default now(),
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  delivered_at timestamptz,
  ended_at timestamptz,
  last_error text,
  is_given_up boolean not null default false,
  resolve_check_at timestamptz,
  constraint one_delivery_per_channel unique nulls not distinct (alert_id, channel, channel_id, event),
  constraint event_is_known check (event in ('trigger', 'resolve')),
  constraint delivery_attempts_are_not_negative check (attempts >= 0),
  constraint is_delivered_or_ended check (num_nonnulls(delivered_at, ended_at) <= 1)
);
comment on table spend.alert_deliveries is
  'Outbox: one row for each alert and channel that takes it. Open while delivered_at and ended_at are null. Written by spend.claim_deliveries and spend.finish_delivery; goes with its alert.';
comment on column spend.alert_deliveries.id is 'What spend.finish_delivery takes.';
comment on column spend.alert_deliveries.alert_id is 'Alert, of spend.alerts.';
comment on column spend.alert_deliveries.channel is 'Name of the channel.';
comment on column spend.alert_deliveries.channel_id is 'Channel, of spend.alert_channels; null: one of the platform''s that the environment of the function alerts names.';
comment on column spend.alert_deliveries.channel_kind is 'slack, pagerduty, email or webhook.';
comment on column spend.alert_deliveries.event is 'trigger: the alert. resolve: what it was about is over, for a channel that has incidents (pagerduty).';
comment on column spend.alert_deliveries.about is 'Kind, and quota and threshold or tenant and subject: what a channel is not told again within its quiet_minutes.';
comment on column spend.alert_deliveries.created_at is 'When the alert was handed to the channel.';
comment on column spend.alert_deliveries.attempts is 'How often it was claimed.';
comment on column spend.alert_deliveries.next_attempt_at is 'Next attempt, not before: a deliverer that crashes costs only time.';
comment on column spend.alert_deliveries.delivered_at is 'When the receiver accepted it.';
comment on column spend.alert_deliveries.ended_at is 'When it was given up: after 12 attempts or a final error, when the alert was acknowledged, or when the channel was disabled.';
comment on column spend.alert_deliveries.is_given_up is 'It ended because it could not be delivered.';
comment on column spend.alert_deliveries.last_error is 'Why the last attempt failed, or why it ended.';
comment on column spend.alert_deliveries.resolve_check_at is 'When to look next whether the delivered incident is over; null: it is, or the channel has none.';

-- Two, so that deliveries of a channel that the environment no longer names do not stand before the others.
create index alert_deliveries_due_of_environment_idx on spend.alert_deliveries (channel, next_attempt_at, id)
where channel_id is null and delivered_at is null and ended_at is null;
create index alert_deliveries_due_idx on spend.alert_deliveries (next_attempt_at, id)
where channel_id is not null and delivered_at is null and ended_at is null;
create index alert_deliveries_resolve_check_at_idx on spend.alert_deliveries (resolve_check_at, id)
where resolve_check_at is not null;
create index alert_deliveries_about_idx on spend.alert_deliveries (about, channel, created_at) where event = 'trigger';
create index alert_deliveries_channel_id_idx on spend.alert_deliveries (channel_id);
create index alert_deliveries_ended_at_idx on spend.alert_deliveries (ended_at) where ended_at is not null;

alter table spend.alert_deliveries enable row level security;
create policy "admins read what goes to their tenant's channels, operators all" on spend.alert_deliveries
for select to authenticated
using (
  channel_id = any (
    array(
      select c.id
      from spend.alert_channels as c
      where c.tenant_id = any (array(select spend_private.managed_tenant_ids()))
    )
  )
  or (select spend_private.operator_role()) is not null
);
grant select on spend.alert_deliveries to authenticated, service_role;
