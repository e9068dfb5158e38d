create table spend_private.quota_balances (
  quota_id bigint not null,
  period_start timestamptz not null,
  slot spend_private.slot_number not null,
  tenant_id uuid not null,
  period_end timestamptz not null,
  allotted_usd numeric(24, 12) not null,
  spent_usd numeric(24, 12) not null default 0,
  reserved_usd spend_private.reserved_usd not null default 0,
  is_split boolean not null default true,
  is_below_threshold boolean not null default false,
  primary key (quota_id, period_start, slot, tenant_id),
  constraint period_ends_after_it_starts check (period_end > period_start)
)
-- Balances are updated all the time and no index covers a changing column: leave room for HOT updates.
with (
  fillfactor = 40,
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05
);
-- No foreign key: a call that opens a balance must not wait for a quota that is being changed (stop_calls).
comment on table spend_private.quota_balances is
  'What is spent and held of a quota in one period, split into slots that each have a part of the limit. Written only by functions; derived from cost_events and open reservations (spend.verify_balances checks it). One that ends after its quota''s shape_since, and its tenant''s time_zone_since, counts what the quota counts now; an older one is history of another shape, until spend.maintain() deletes it.';
comment on column spend_private.quota_balances.tenant_id is 'The quota''s tenant; all zeros for the platform. In the key so that the table can be distributed by it.';
comment on column spend_private.quota_balances.period_start is '-infinity for lifetime quotas.';
comment on column spend_private.quota_balances.allotted_usd is 'USD that this slot may hold and spend. The allotments sum to the limit, or, while is_below_threshold, to just below the warning threshold. Negative when the quota is over its limit: then one slot carries the excess.';
comment on column spend_private.quota_balances.spent_usd is 'Booked cost. Negative after credits.';
comment on column spend_private.quota_balances.is_below_threshold is 'The quota is below its warning threshold, and cannot reach it within these allotments: a call need not look at all slots to know that there is no warning.';
comment on column spend_private.quota_balances.is_split is 'False while the quota is over its limit: then one slot''s room says nothing, and admission looks at all slots.';

alter table spend_private.quota_balances enable row level security;
create policy "who may read a quota reads its balances" on spend_private.quota_balances
for select to authenticated
using (
  -- An operator reads all; the platform's have a tenant of zeros, which is in the range.
  tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
  or (
    tenant_id = any (array(select spend_private.member_tenant_ids()))
    and quota_id in (select q.id from spend.cost_quotas as q)
  )
);
grant select on spend_private.quota_balances to authenticated, service_role;
