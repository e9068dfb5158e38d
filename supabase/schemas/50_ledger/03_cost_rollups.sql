create table spend_private.cost_rollups (
  tenant_id uuid not null,
  hour timestamptz not null,
  resource_type text not null,
  provider text,
  product text,
  task text,
  user_id uuid,
  cost_usd numeric(24, 12) not null,
  calls bigint not null,
  constraint one_rollup_per_hour unique nulls not distinct (
    tenant_id, hour, resource_type, provider, product, task, user_id
  )
);
comment on table spend_private.cost_rollups is
  'Booked cost in USD and number of calls by hour, of the events that are rolled up. Read it through spend.hourly_costs, which adds the others. Outlives the events that retention drops.';
comment on column spend_private.cost_rollups.hour is 'Begins at a full hour of UTC and of the tenant''s time zone, whichever is later: no hour lies in two days or two months of either.';
create index cost_rollups_hour_idx on spend_private.cost_rollups (hour);
create index cost_rollups_tenant_id_user_id_hour_idx on spend_private.cost_rollups (tenant_id, user_id, hour);

create table spend_private.conversation_rollups (
  tenant_id uuid not null,
  hour timestamptz not null,
  conversation_id text not null,
  resource_type text not null,
  provider text,
  product text,
  task text,
  user_id uuid,
  cost_usd numeric(24, 12) not null,
  calls bigint not null,
  constraint one_conversation_rollup_per_hour unique nulls not distinct (
    tenant_id, hour, conversation_id, resource_type, provider, product, task, user_id
  )
);
comment on table spend_private.conversation_rollups is
  'As cost_rollups, by conversation too. A table of its own, so that reports without conversations read less. Deleted with the events.';
create index conversation_rollups_hour_idx on spend_private.conversation_rollups (hour);
create index conversation_rollups_tenant_id_conversation_id_idx
on spend_private.conversation_rollups (tenant_id, conversation_id);

alter table spend_private.cost_rollups enable row level security;
create policy "members read their own, admins the tenant's, operators all" on spend_private.cost_rollups
for select to authenticated
using (
  (user_id = (select auth.uid()) and tenant_id = any (array(select spend_private.member_tenant_ids())))
  or tenant_id = any (array(select spend_private.managed_tenant_ids()))
  or (
    tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
    and ((select spend_private.operator_role()) in ('viewer', 'editor') or tenant_id >= spend_private.first_operated())
  )
);
grant select on spend_private.cost_rollups to authenticated, service_role;

alter table spend_private.conversation_rollups enable row level security;
create policy "members read their own, admins the tenant's, operators all" on spend_private.conversation_rollups
for select to authenticated
using (
  (user_id = (select auth.uid()) and tenant_id = any (array(select spend_private.member_tenant_ids())))
  or tenant_id = any (array(select spend_private.managed_tenant_ids()))
  or (
    tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
    and ((select spend_private.operator_role()) in ('viewer', 'editor') or tenant_id >= spend_private.first_operated())
  )
);
grant select on spend_private.conversation_rollups to authenticated, service_role;
