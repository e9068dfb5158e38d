create table spend.tenant_members (
  tenant_id uuid not null references spend.tenants (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null default 'member',
  is_seeded boolean not null default false,
  created_at timestamptz not null default now(),
  primary key (tenant_id, user_id),
  constraint role_is_known check (role in ('owner', 'admin', 'member'))
);
comment on table spend.tenant_members is
  'Who belongs to a tenant. Members spend and see their own spend; owners and admins see the tenant''s and set quotas of its users. Inserting a member seeds the plan''s user quotas.';
comment on column spend.tenant_members.tenant_id is 'Tenant that pays for what the member spends here.';
comment on column spend.tenant_members.user_id is 'Person, of auth.users. May belong to several tenants.';
comment on column spend.tenant_members.role is 'owner, admin or member. All spend and see their own spend; owners and admins, with the same rights, also see the tenant''s and set its users'' quotas.';
comment on column spend.tenant_members.is_seeded is
  'Has the plan''s user quotas. Kept by a trigger; where triggers did not run, spend.maintain() adds them.';
comment on column spend.tenant_members.created_at is 'When the member was added.';

create index tenant_members_user_id_idx on spend.tenant_members (user_id);
create index tenant_members_unseeded_idx on spend.tenant_members (tenant_id, user_id) where not is_seeded;

alter table spend.tenant_members enable row level security;
create policy "members read the members of their tenant, operators all" on spend.tenant_members
for select to authenticated
using (
  tenant_id = any (array(select spend_private.member_tenant_ids()))
  or tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
);
grant select on spend.tenant_members to authenticated;
grant select, insert, update, delete on spend.tenant_members to service_role;

comment on constraint tenant_members_pkey on spend.tenant_members is
  'user_id: the user is a member of this tenant. Update that row to change the role.';
comment on constraint tenant_members_tenant_id_fkey on spend.tenant_members is
  'tenant_id: the id of a row of spend.tenants. Insert the tenant there first.';
comment on constraint tenant_members_user_id_fkey on spend.tenant_members is
  'user_id: the id of a row of auth.users. The user must sign up, or be invited, first.';
comment on constraint role_is_known on spend.tenant_members is
  'role: owner, admin or member.';

create trigger explain_mistakes before insert or update on spend.tenant_members
for each row execute function spend_private.explain_mistakes('member');
create trigger "Explain_references" after insert or update on spend.tenant_members
for each row execute function spend_private.explain_references();
