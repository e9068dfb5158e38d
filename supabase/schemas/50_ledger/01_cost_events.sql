-- One function for all rules: see spend_private.is_possible_reservation.
create function spend_private.is_possible_event(p_kind text, p_resource_type text, p_reservation_id uuid)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return p_kind in ('charge', 'correction', 'expiry', 'adjustment')
    and p_resource_type in ('llm', 'e2b')
    and (p_kind = 'adjustment') = (p_reservation_id is null);
end;
$$;
comment on function spend_private.is_possible_event is
  'Whether the values of an event fit together: only an adjustment is about no reservation.';

create table spend.cost_events (
  id bigint generated always as identity,
  tenant_id uuid not null,
  occurred_at timestamptz not null,
  booked_at timestamptz not null default now(),
  booked_xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  reservation_id uuid,
  user_id uuid,
  conversation_id text,
  path_id text,
  task text,
  resource_type text not null,
  provider text,
  product text,
  usage jsonb,
  cost_usd numeric(24, 12) not null,
  calls spend.call_count not null default 0,
  price_ids bigint[] not null default '{}',
  is_estimated boolean not null default false,
  metadata jsonb not null default '{}',
  primary key (tenant_id, occurred_at, id),
  constraint event_is_possible check (spend_private.is_possible_event(kind, resource_type, reservation_id))
) partition by range (occurred_at);
comment on table spend.cost_events is
  'The ledger: every booking, in USD. Append-only, partitioned by month. The sum of cost_usd is what was spent; everything else about money can be derived from it.';
comment on column spend.cost_events.id is 'Number of the event; gaps mean nothing.';
comment on column spend.cost_events.tenant_id is 'Tenant that pays.';
comment on column spend.cost_events.occurred_at is 'When the call was made: the moment of its reservation. Decides the period that it counts in.';
comment on column spend.cost_events.booked_at is 'When the event was written.';
comment on column spend.cost_events.booked_xid is 'Transaction that wrote the event. The roll-ups count events in this order, which a late commit does not change (spend_private.roll_up).';
comment on column spend.cost_events.kind is 'charge: a settled call; expiry: the estimate of a call that nobody settled; correction: what a late settle or release, or a corrected price, changes about earlier bookings; adjustment: a credit (negative) or debit by hand.';
comment on column spend.cost_events.reservation_id is 'Call that it is about, of spend.reservations, where retention may have deleted it; null for adjustments.';
comment on column spend.cost_events.user_id is 'Member who called, or whom an adjustment is for; null: the tenant itself.';
comment on column spend.cost_events.conversation_id is 'The caller''s name of the conversation; null: none.';
comment on column spend.cost_events.path_id is 'Branch of the conversation; null: the caller named none.';
comment on column spend.cost_events.task is 'What the call was for; null for adjustments.';
comment on column spend.cost_events.resource_type is 'llm or e2b.';
comment on column spend.cost_events.provider is 'Who sold it; null for adjustments.';
comment on column spend.cost_events.product is 'Model or template, as in spend.reservations; null for adjustments.';
comment on column spend.cost_events.usage is 'Usage as settle got it; where it is unknown, the usage that was held for. Null for releases and adjustments.';
comment on column spend.cost_events.cost_usd is 'USD that the event adds to what is spent. Negative for credits and for corrections downward.';
comment on column spend.cost_events.calls is 'What the event adds to the number of calls: 1 when a call is first booked, -1 when it turns out not to have been made, else 0. A call''s events sum to 1, or to 0 when it was released.';
comment on column spend.cost_events.price_ids is 'Rows of spend.prices that the cost was computed with.';
comment on column spend.cost_events.is_estimated is 'The real usage is not known; the estimate was booked.';
comment on column spend.cost_events.metadata is 'Metadata of reserve and settle, and reasons: reason of an adjustment, release_reason, end_reason of a sandbox.';

-- For events that are not rolled up yet, of one tenant or all.
create index cost_events_booked_xid_tenant_id_idx on spend.cost_events (booked_xid, tenant_id);

alter table spend.cost_events enable row level security;
-- Arrays, not sub-selects: an index on tenant_id can find what they list.
create policy "members read their own, admins the tenant's, operators all" on spend.cost_events
for select to authenticated
using (
  (user_id = (select auth.uid()) and tenant_id = any (array(select spend_private.member_tenant_ids())))
  or tenant_id = any (array(select spend_private.managed_tenant_ids()))
  or tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
);
grant select on spend.cost_events to authenticated, service_role;

-- Catches events of months whose partition was not made ahead.
create table spend_private.cost_events_default partition of spend.cost_events default;
comment on table spend_private.cost_events_default is
  'Partition of spend.cost_events for months that have none of their own. spend_private.ensure_partition moves them when it makes that month''s.';
alter table spend_private.cost_events_default enable row level security;
