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

comment on constraint plans_pkey on spend.plans is
  'id: there is a plan of this id. Update that row, or take another id.';
comment on constraint id_is_not_empty on spend.plans is
  'id: a name for programs, not empty, such as team.';
comment on constraint name_is_not_empty on spend.plans is
  'name: a name for people, not empty.';

create trigger explain_mistakes before insert or update on spend.plans
for each row execute function spend_private.explain_mistakes('plan');
create trigger "Explain_uses" after delete on spend.plans
for each row execute function spend_private.explain_uses('plan', 'id');
create trigger "Explain_new_key" after update on spend.plans
for each row when (old.id <> new.id) execute function spend_private.explain_uses('plan', 'id');
