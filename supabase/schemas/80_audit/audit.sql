create function spend_private.audit()
returns trigger
language plpgsql
-- Definer: no role may write the log itself.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_old jsonb := case when tg_op in ('UPDATE', 'DELETE') and tg_level = 'ROW' then to_jsonb(old) end;
  v_new jsonb := case when tg_op in ('INSERT', 'UPDATE') and tg_level = 'ROW' then to_jsonb(new) end;
  v_row jsonb := coalesce(v_new, v_old);
  v_marks text[] := array['first_used_at', 'version', 'plan_version', 'is_seeded'];
begin
  -- Marking a price as used is no change, nor is a tenant that follows its plan.
  if v_old - v_marks = v_new - v_marks then
    return null;
  end if;

  insert into spend.audit_log (
    tenant_id, table_name, command, row_key, old_row, new_row, user_id, role_name
  )
  values (
    case tg_table_name when 'tenants' then v_row ->> 'id' else v_row ->> 'tenant_id' end::uuid,
    tg_table_name, tg_op,
    (select jsonb_object_agg(k.name, v_row -> k.name) from unnest(tg_argv) as k (name) where v_row is not null),
    v_old, v_new, (select auth.uid()),
    spend_private.caller_role()
  );
  return null;
end;
$$;
comment on function spend_private.audit is
  'Trigger: writes a change into spend.audit_log. Its arguments are the columns of the table''s key.';

create trigger audit after insert or update or delete on spend.prices
for each row execute function spend_private.audit('id');
create trigger audit after insert or update or delete on spend.product_aliases
for each row execute function spend_private.audit('provider', 'match_kind', 'pattern');
create trigger audit after insert or update or delete on spend.plans
for each row execute function spend_private.audit('id');
create trigger audit after insert or update or delete on spend.plan_quotas
for each row execute function spend_private.audit('plan_id', 'scope', 'resource_type', 'period');
create trigger audit after insert or update or delete on spend.cost_quotas
for each row execute function spend_private.audit('id');
create trigger audit after insert or update or delete on spend.tenants
for each row execute function spend_private.audit('id');
create trigger audit after insert or update or delete on spend.tenant_members
for each row execute function spend_private.audit('tenant_id', 'user_id');
create trigger audit after insert or update or delete on spend.sandbox_templates
for each row execute function spend_private.audit('template');

create trigger audit_truncate before truncate on spend.prices
for each statement execute function spend_private.audit();
create trigger audit_truncate before truncate on spend.product_aliases
for each statement execute function spend_private.audit();
create trigger audit_truncate before truncate on spend.plans
for each statement execute function spend_private.audit();
create trigger audit_truncate before truncate on spend.plan_quotas
for each statement execute function spend_private.audit();
create trigger audit_truncate before truncate on spend.cost_quotas
for each statement execute function spend_private.audit();
create trigger audit_truncate before truncate on spend.tenants
for each statement execute function spend_private.audit();
create trigger audit_truncate before truncate on spend.tenant_members
for each statement execute function spend_private.audit();
create trigger audit_truncate before truncate on spend.sandbox_templates
for each statement execute function spend_private.audit();

create trigger audit after insert or update or delete on spend.operators
for each row execute function spend_private.audit('user_id');
create trigger audit_truncate before truncate on spend.operators
for each statement execute function spend_private.audit();

create trigger audit after insert or update or delete on spend.alert_channels
for each row execute function spend_private.audit('id');
create trigger audit_truncate before truncate on spend.alert_channels
for each statement execute function spend_private.audit();
