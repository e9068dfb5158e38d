create table spend.settings (
  is_only_row boolean primary key default true,
  keep_event_months integer,
  keep_balance_days integer not null default 100,
  keep_alert_days integer not null default 90,
  keep_refusal_hours integer not null default 24,
  keep_refusal_days integer not null default 30,
  keep_reservation_days integer not null default 90,
  keep_audit_days integer not null default 400,
  expired_alert_count integer not null default 10,
  allow_private_alert_targets boolean not null default false,
  settle_asynchronously boolean not null default false,
  constraint is_only_row check (is_only_row),
  constraint keeps_events_of_current_periods check (keep_event_months >= 2),
  constraint keeps_balances_of_current_periods check (keep_balance_days >= 40),
  constraint keep_alert_days_is_positive check (keep_alert_days > 0),
  constraint keep_refusal_hours_is_positive check (keep_refusal_hours > 0),
  constraint keep_refusal_days_is_positive check (keep_refusal_days > 0),
  -- A hold lasts a week at most, and may be settled late.
  constraint keeps_reservations_that_may_be_settled check (keep_reservation_days >= 14),
  constraint keep_audit_days_is_positive check (keep_audit_days > 0),
  constraint expired_alert_count_is_positive check (expired_alert_count > 0)
);
comment on table spend.settings is
  'What spend.maintain() keeps, and for how long; when it alerts; where tenants'' alerts may go; whether spend.settle waits for the disk. One row; change it in SQL.';
comment on column spend.settings.is_only_row is 'Always true: there is one row.';
comment on column spend.settings.keep_event_months is 'Full months of cost_events before the current one; null, the default, keeps all. Of dropped months the sums by hour remain.';
comment on column spend.settings.keep_balance_days is 'Balances of quota periods that ended earlier are deleted; the ledger knows what was spent.';
comment on column spend.settings.keep_alert_days is 'Alerts that were recorded earlier are deleted, delivered or not, but for those of periods that still run; so are problems that were resolved earlier.';
comment on column spend.settings.keep_refusal_hours is 'How long a refused idempotency key gets the same answer.';
comment on column spend.settings.keep_refusal_days is 'Counts of refusals (spend.refusals_by_hour) of earlier hours are deleted.';
comment on column spend.settings.keep_reservation_days is 'Reservations that were made and ended earlier are deleted; what they cost stays in the ledger. Settling one after that answers PT404 unknown_reservation, its idempotency key is new again, and spend.reprice does not reach it. So long are kept, too: sandbox contexts that ended and are booked, the idempotency keys of spend.adjust, and until when stray sandboxes were booked. At least 14.';
comment on column spend.settings.keep_audit_days is 'Rows of audit_log that are older are deleted.';
comment on column spend.settings.expired_alert_count is 'When so many reservations of a tenant expire within an hour, an alert (reservations_expired) is recorded.';
comment on column spend.settings.allow_private_alert_targets is 'True: tenants'' channels may post to addresses inside the network, by http too. For tests and local stacks.';
comment on column spend.settings.settle_asynchronously is 'True: spend.settle, called over the API for a call that costs no more than its hold, answers before its commit is on disk (synchronous_commit = off). A crash of the server may undo the settlements of its last moments (0.6 s by default): those calls are held again and expire at their estimates, until a late settle corrects them. Nothing stays unbooked. Holds always wait for the disk.';

insert into spend.settings default values;

alter table spend.settings enable row level security;
grant select, update on spend.settings to service_role;

create trigger audit after insert or update or delete on spend.settings
for each row execute function spend_private.audit('is_only_row');

comment on constraint is_only_row on spend.settings is
  'is_only_row: true. There is one row: update it.';
comment on constraint settings_pkey on spend.settings is
  'is_only_row: there is one row of settings. Update it.';
comment on constraint keeps_events_of_current_periods on spend.settings is
  'keep_event_months: null (keeps all), or 2 months or more. Fewer would delete what the current periods still need.';
comment on constraint keeps_balances_of_current_periods on spend.settings is
  'keep_balance_days: 40 days or more. Fewer would delete what the current periods still need.';
comment on constraint keep_alert_days_is_positive on spend.settings is
  'keep_alert_days: 1 day or more.';
comment on constraint keep_refusal_hours_is_positive on spend.settings is
  'keep_refusal_hours: 1 hour or more.';
comment on constraint keep_refusal_days_is_positive on spend.settings is
  'keep_refusal_days: 1 day or more.';
comment on constraint keeps_reservations_that_may_be_settled on spend.settings is
  'keep_reservation_days: 14 days or more. A hold lasts up to a week, and may be settled late.';
comment on constraint keep_audit_days_is_positive on spend.settings is
  'keep_audit_days: 1 day or more.';
comment on constraint expired_alert_count_is_positive on spend.settings is
  'expired_alert_count: 1 or more.';

create trigger explain_mistakes before insert or update on spend.settings
for each row execute function spend_private.explain_mistakes('settings');
