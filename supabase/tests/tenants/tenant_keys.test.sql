begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;

-- A table that grows with calls has the tenant in all of its keys: a tenant's rows are found, and could be moved, by its id. Read
-- from the catalogue: a new table is red until it is listed here.
create temporary table listed (name text primary key, grows_by text not null);
insert into listed (name, grows_by) values
  ('spend.cost_events', 'calls'),
  ('spend.execution_contexts', 'calls'),
  ('spend.reservations', 'calls'),
  ('spend_private.adjustments', 'calls'),
  ('spend_private.conversation_rollups', 'calls'),
  ('spend_private.cost_rollups', 'calls'),
  ('spend_private.quota_balances', 'calls'),
  ('spend.refusal_counts', 'calls'),
  ('spend_private.refusals', 'calls'),
  ('spend_private.expiries', 'calls'),
  ('spend_private.stray_sandboxes', 'calls'),
  -- Read by every call, changed by people.
  ('spend.cost_quotas', 'rules'),
  ('spend.meters', 'rules'),
  ('spend.operators', 'rules'),
  ('spend.plan_quotas', 'rules'),
  ('spend.plans', 'rules'),
  ('spend.prices', 'rules'),
  ('spend.product_aliases', 'rules'),
  ('spend_private.price_book', 'rules'),
  ('spend_private.price_state', 'rules'),
  ('spend.sandbox_templates', 'rules'),
  ('spend.tenant_members', 'rules'),
  ('spend.tenants', 'rules'),
  -- Written once per threshold, change or run.
  ('spend.alerts', 'project'),
  ('spend.alert_channels', 'project'),
  ('spend.alert_deliveries', 'project'),
  ('spend.alert_mutes', 'project'),
  ('spend_private.alert_channel_secrets', 'project'),
  ('spend_private.function_calls', 'project'),
  ('spend_private.tenant_rounds', 'project'),
  ('spend.audit_log', 'project'),
  ('spend.problems', 'project'),
  ('spend.settings', 'project'),
  ('spend_private.job_runs', 'project'),
  ('spend_private.ledger_state', 'project'),
  ('spend_private.ledger_totals', 'project'),
  ('spend_private.sandbox_sweeps', 'project'),
  ('spend_private.surveys', 'project'),
  ('spend_private.unusual_days', 'project'),
  ('spend_private.verification_state', 'project');

select plan(6);

select set_eq(
  $$
    select c.oid::regclass::text
    from pg_class as c
    where c.relnamespace in ('spend'::regnamespace, 'spend_private'::regnamespace)
      and c.relkind in ('r', 'p') and not c.relispartition
  $$,
  'select p.name from listed as p',
  'Every table is listed'
);

select is_empty(
  $$
    select i.indexrelid::regclass
    from listed as p
    join pg_index as i on i.indrelid = p.name::regclass and i.indisunique
    where p.grows_by = 'calls' and not exists (
      select from pg_attribute as a
      where a.attrelid = i.indrelid and a.attname = 'tenant_id' and a.attnum = any (i.indkey::smallint[])
    )
  $$,
  'A table that grows with calls has tenant_id in every key and unique constraint'
);

select is_empty(
  $$
    select p.name from listed as p
    where p.grows_by = 'calls' and not exists (
      select from pg_attribute as a
      where a.attrelid = p.name::regclass and a.attname = 'tenant_id' and a.attnotnull
        and a.atttypid = 'uuid'::regtype
    )
  $$,
  'A table that grows with calls has a tenant_id that is a uuid and never null'
);

select is_empty(
  $$
    select p.name from listed as p
    where p.grows_by = 'calls'
      and not exists (select from pg_index as i where i.indrelid = p.name::regclass and i.indisunique)
  $$,
  'A table that grows with calls has a key'
);

select is_empty(
  $$
    select p.name, c.conname
    from listed as p
    join pg_constraint as c on c.conrelid = p.name::regclass and c.contype = 'f'
    left join listed as target on target.name::regclass = c.confrelid
    where p.grows_by = 'calls' and target.grows_by is distinct from 'rules'
  $$,
  'A table that grows with calls refers to rules alone'
);

select is_empty(
  $$
    select p.name, c.conname
    from listed as p
    join pg_constraint as c on c.confrelid = p.name::regclass and c.contype = 'f'
    where p.grows_by = 'calls' and c.conparentid = 0
  $$,
  'Nothing refers to a table that grows with calls, so that no check locks a row that calls share'
);

select * from finish();
rollback;
