begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;

-- Where each table would live on Citus (docs/internals/performance.md). Read from the catalogue: a new table is red until it is
-- placed here, and one that grows with traffic keeps the tenant in all of its keys.
create temporary table placement (name text primary key, place text not null);
insert into placement (name, place) values
  ('spend.cost_events', 'distributed'),
  ('spend.execution_contexts', 'distributed'),
  ('spend.reservations', 'distributed'),
  ('spend_private.adjustments', 'distributed'),
  ('spend_private.conversation_rollups', 'distributed'),
  ('spend_private.cost_rollups', 'distributed'),
  ('spend_private.quota_balances', 'distributed'),
  ('spend.refusal_counts', 'distributed'),
  ('spend_private.refusals', 'distributed'),
  ('spend_private.expiries', 'distributed'),
  ('spend_private.stray_sandboxes', 'distributed'),
  -- Read by every call, changed by people: a copy on every node.
  ('spend.cost_quotas', 'reference'),
  ('spend.meters', 'reference'),
  ('spend.operators', 'reference'),
  ('spend.plan_quotas', 'reference'),
  ('spend.plans', 'reference'),
  ('spend.prices', 'reference'),
  ('spend.product_aliases', 'reference'),
  ('spend_private.price_state', 'reference'),
  ('spend.sandbox_templates', 'reference'),
  ('spend.tenant_members', 'reference'),
  ('spend.tenants', 'reference'),
  -- Written once per threshold, change or run: on the coordinator alone.
  ('spend.alerts', 'coordinator'),
  ('spend.alert_channels', 'coordinator'),
  ('spend.alert_deliveries', 'coordinator'),
  ('spend.alert_mutes', 'coordinator'),
  ('spend_private.alert_channel_secrets', 'coordinator'),
  ('spend_private.function_calls', 'coordinator'),
  ('spend_private.tenant_rounds', 'coordinator'),
  ('spend.audit_log', 'coordinator'),
  ('spend.problems', 'coordinator'),
  ('spend.settings', 'coordinator'),
  ('spend_private.job_runs', 'coordinator'),
  ('spend_private.ledger_state', 'coordinator'),
  ('spend_private.ledger_totals', 'coordinator'),
  ('spend_private.sandbox_sweeps', 'coordinator'),
  ('spend_private.surveys', 'coordinator'),
  ('spend_private.unusual_days', 'coordinator'),
  ('spend_private.verification_state', 'coordinator');

select plan(6);

select set_eq(
  $$
    select c.oid::regclass::text
    from pg_class as c
    where c.relnamespace in ('spend'::regnamespace, 'spend_private'::regnamespace)
      and c.relkind in ('r', 'p') and not c.relispartition
  $$,
  'select p.name from placement as p',
  'Every table has a place'
);

select is_empty(
  $$
    select i.indexrelid::regclass
    from placement as p
    join pg_index as i on i.indrelid = p.name::regclass and i.indisunique
    where p.place = 'distributed' and not exists (
      select from pg_attribute as a
      where a.attrelid = i.indrelid and a.attname = 'tenant_id' and a.attnum = any (i.indkey::smallint[])
    )
  $$,
  'A table that grows with traffic has tenant_id in every key and unique constraint'
);

select is_empty(
  $$
    select p.name from placement as p
    where p.place = 'distributed' and not exists (
      select from pg_attribute as a
      where a.attrelid = p.name::regclass and a.attname = 'tenant_id' and a.attnotnull
        and a.atttypid = 'uuid'::regtype
    )
  $$,
  'A table that grows with traffic has a tenant_id that is a uuid and never null'
);

select is_empty(
  $$
    select p.name from placement as p
    where p.place = 'distributed'
      and not exists (select from pg_index as i where i.indrelid = p.name::regclass and i.indisunique)
  $$,
  'A table that grows with traffic has a key'
);

select is_empty(
  $$
    select p.name, c.conname
    from placement as p
    join pg_constraint as c on c.conrelid = p.name::regclass and c.contype = 'f'
    left join placement as target on target.name::regclass = c.confrelid
    where p.place = 'distributed' and target.place is distinct from 'reference'
  $$,
  'A table that grows with traffic refers to reference tables alone'
);

select is_empty(
  $$
    select p.name, c.conname
    from placement as p
    join pg_constraint as c on c.confrelid = p.name::regclass and c.contype = 'f'
    where p.place = 'distributed' and c.conparentid = 0
  $$,
  'Nothing refers to a table that grows with traffic, so that no check locks a row that calls share'
);

select * from finish();
rollback;
