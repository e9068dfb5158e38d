begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(10);

-- The owner truncates a table: the log has the command, because no row is left.
create function pg_temp.emptied(p_table text) returns bigint language plpgsql as $$
begin
  execute format('truncate spend.%I cascade', p_table);
  return (select count(*) from spend.audit_log where command = 'TRUNCATE' and table_name = p_table);
end;
$$;
select is(pg_temp.emptied(t.name), 1::bigint, format('Truncating %s is in the audit log', t.name))
from (values
  ('alert_channels'), ('tenant_members'), ('plan_quotas'), ('product_aliases'), ('prices'), ('cost_quotas'), ('tenants'), ('plans'), ('sandbox_templates'), ('operators')
) as t (name);

select * from finish();
rollback;
