create table spend.audit_log (
  id bigint generated always as identity primary key,
  tenant_id uuid,
  changed_at timestamptz not null default clock_timestamp(),
  table_name text not null,
  command text not null,
  row_key jsonb,
  old_row jsonb,
  new_row jsonb,
  user_id uuid,
  role_name text not null,
  session_user_name text not null default session_user,
  application_name text default current_setting('application_name', true),
  constraint command_is_known check (command in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'))
);
comment on table spend.audit_log is
  'Who changed a price, plan, quota, tenant, member or setting, when, and the row before and after. Written by triggers, append-only.';
comment on column spend.audit_log.id is 'Number of the entry, in the order in which changes were made.';
comment on column spend.audit_log.tenant_id is 'Tenant whose row it was; null for prices, plans and quotas of the platform.';
comment on column spend.audit_log.changed_at is 'When the row was changed, not when its transaction began.';
comment on column spend.audit_log.table_name is 'Table of schema spend, without the schema.';
comment on column spend.audit_log.command is 'INSERT, UPDATE, DELETE or TRUNCATE.';
comment on column spend.audit_log.row_key is 'Primary key of the row: {"id": 7}. Null for a truncate.';
comment on column spend.audit_log.old_row is 'The row before; null for an insert.';
comment on column spend.audit_log.new_row is 'The row after; null for a delete.';
comment on column spend.audit_log.user_id is 'Signed-in user (auth.uid()); null for service_role and for direct connections.';
comment on column spend.audit_log.role_name is 'Role that made the change: authenticated, service_role, or the role that connected.';
comment on column spend.audit_log.session_user_name is 'Role that opened the connection.';
comment on column spend.audit_log.application_name is 'What the connection called itself; anybody may call itself anything.';

create index audit_log_tenant_id_idx on spend.audit_log (tenant_id, id);
create index audit_log_table_name_idx on spend.audit_log (table_name, id);
create index audit_log_changed_at_idx on spend.audit_log (changed_at);
-- Of which tenants a user was ever a member: spend.user_emails.
create index audit_log_members_idx on spend.audit_log ((row_key ->> 'user_id')) where table_name = 'tenant_members';

alter table spend.audit_log enable row level security;
create policy "admins read what changed in their tenant, operators all" on spend.audit_log
for select to authenticated
using (
  tenant_id = any (array(select spend_private.managed_tenant_ids()))
  or (
    tenant_id is not null
    and tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
    and ((select spend_private.operator_role()) in ('viewer', 'editor') or tenant_id >= spend_private.first_operated())
  )
  or (tenant_id is null and (select spend_private.operator_role()) in ('viewer', 'editor'))
);
grant select on spend.audit_log to authenticated, service_role;

create trigger refuse_change before update or delete on spend.audit_log
for each row execute function spend_private.refuse_change();
create trigger refuse_truncate before truncate on spend.audit_log
for each statement execute function spend_private.refuse_change();
