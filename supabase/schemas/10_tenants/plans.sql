create table spend.plans (
  id text primary key,
  name text not null,
  version bigint not null default 1,
  constraint id_is_not_empty check (id <> ''),
  constraint name_is_not_empty check (name <> '')
);
comment on table spend.plans is
  'Plans that tenants are on. A plan''s quotas are in plan_quotas. New tenants are on the plan ''default''.';
comment on column spend.plans.id is 'Name that tenants.plan_id uses. default is the plan of new tenants.';
comment on column spend.plans.name is 'For people.';
comment on column spend.plans.version is
  'Goes up with each change of the plan''s quotas; tenants.plan_version says which one a tenant follows. Kept by a trigger.';

alter table spend.plans enable row level security;
create policy "signed-in users read the plans" on spend.plans
for select to authenticated using (true);
grant select on spend.plans to authenticated;
grant select, insert, update, delete on spend.plans to service_role;

insert into spend.plans (id, name) values ('default', 'Default');
