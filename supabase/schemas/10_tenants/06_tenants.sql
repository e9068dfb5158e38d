create table spend.tenants (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  plan_id text not null default 'default' references spend.plans (id) on delete restrict,
  plan_version bigint not null default 0,
  time_zone text not null default 'UTC',
  time_zone_since timestamptz not null default '-infinity',
  created_at timestamptz not null default now(),
  closed_at timestamptz,
  constraint name_is_not_empty check (name <> ''),
  constraint time_zone_is_known check (spend_private.is_time_zone(time_zone))
);
comment on table spend.tenants is
  'Customers of the project. Inserting one seeds the quotas of its plan in the same transaction.';
comment on column spend.tenants.id is 'May be the project''s own id of the customer. Its first 32 bits are in the id of each of its reservations.';
comment on column spend.tenants.name is 'For people; need not be unique.';
comment on column spend.tenants.plan_id is 'Plan that its quotas follow. Setting another plan brings its quotas; those set by hand stay.';
comment on column spend.tenants.time_zone is
  'IANA name. Days, weeks and months of the tenant''s and its users'' quotas begin at midnight of this zone.';
comment on column spend.tenants.plan_version is
  'Version of its plan (spend.plans) that its quotas follow. An older one than the plan''s: spend.maintain() brings them up to date. Kept by triggers.';
comment on column spend.tenants.time_zone_since is
  'When the time zone last changed; -infinity: never. Kept by a trigger.';
comment on column spend.tenants.created_at is 'When the tenant was inserted; to spend.unusual_spend its first day, unless it spent before.';
comment on column spend.tenants.closed_at is
  'When set, new spend is refused (PT403 tenant_closed). Open reservations still settle, history stays.';

create index tenants_plan_id_plan_version_idx on spend.tenants (plan_id, plan_version);
-- A reservation's id carries this key, so that settle finds the tenant, and its rows, by the id.
create index tenants_key_idx on spend.tenants (spend_private.tenant_key(id));

alter table spend.tenants enable row level security;
create policy "members read their tenant, operators all" on spend.tenants
for select to authenticated
using (
  id = any (array(select spend_private.member_tenant_ids()))
  or id between (select spend_private.first_operated()) and (select spend_private.last_operated())
);
grant select on spend.tenants to authenticated;
grant select, insert, update, delete on spend.tenants to service_role;

comment on constraint tenants_pkey on spend.tenants is
  'id: there is a tenant of this id. Update that row, or take another id.';
comment on constraint tenants_plan_id_fkey on spend.tenants is
  'plan_id: the id of a row of spend.plans, such as default. Insert the plan there first.';
comment on constraint name_is_not_empty on spend.tenants is
  'name: a name for people, not empty.';
comment on constraint time_zone_is_known on spend.tenants is
  'time_zone: UTC, or the IANA name of a zone, with its area, such as Europe/Dublin; spend_private.is_time_zone(name) says which are known.';

create trigger explain_mistakes before insert or update on spend.tenants
for each row execute function spend_private.explain_mistakes('tenant');
create trigger "Explain_references" after insert or update on spend.tenants
for each row execute function spend_private.explain_references();
create trigger "Explain_new_key" after update on spend.tenants
for each row when (old.id <> new.id) execute function spend_private.explain_uses('tenant', 'id');
