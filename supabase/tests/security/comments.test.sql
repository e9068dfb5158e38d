begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;

-- What \d+ and \df+ show a DBA: every object says what it is, and every column of what is exposed what it holds.

-- Partitions are left out: their table speaks for them. So are the types that come with a table, a view or another type.
create temporary view described as
select 'schema' as kind, n.nspname::text as name, obj_description(n.oid, 'pg_namespace') as comment
from pg_namespace as n
where n.nspname in ('spend', 'spend_private')
union all
select
  case c.relkind when 'v' then 'view' when 'm' then 'view' else 'table' end,
  c.oid::regclass::text, obj_description(c.oid, 'pg_class')
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('spend', 'spend_private') and c.relkind in ('r', 'p', 'f', 'v', 'm') and not c.relispartition
union all
select case t.typtype when 'd' then 'domain' else 'type' end, t.oid::regtype::text, obj_description(t.oid, 'pg_type')
from pg_type as t
join pg_namespace as n on n.oid = t.typnamespace
left join pg_class as c on c.oid = t.typrelid
where n.nspname in ('spend', 'spend_private') and (c.relkind = 'c' or t.typtype in ('d', 'e', 'r'))
union all
select
  case when p.prokind = 'p' then 'procedure' when p.prorettype = 'trigger'::regtype then 'trigger function' else 'function' end,
  p.oid::regprocedure::text, obj_description(p.oid, 'pg_proc')
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
where n.nspname in ('spend', 'spend_private')
union all
select
  case c.relkind when 'c' then 'column of a type' when 'v' then 'column of a view' when 'm' then 'column of a view'
    else 'column of a table' end,
  c.oid::regclass || '.' || a.attname, col_description(c.oid, a.attnum)
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = 'spend' and c.relkind in ('r', 'p', 'f', 'v', 'm', 'c') and not c.relispartition;

select plan(5);

select is_empty(
  $$ select unnest(array[
       'schema', 'table', 'view', 'type', 'function', 'trigger function', 'procedure',
       'column of a table', 'column of a view', 'column of a type'
     ])
     except select d.kind from described as d $$,
  'Objects of ten kinds are looked at'
);
select is_empty(
  $$ select d.kind, d.name from described as d where d.comment is null and d.kind not like 'column%' order by 1, 2 $$,
  'Every schema, table, view, type, domain and function has a comment'
);
select is_empty(
  $$ select d.kind, d.name from described as d where d.comment is null and d.kind like 'column%' order by 1, 2 $$,
  'Every column of the tables, views and types of spend has a comment'
);

-- The checks themselves: each finds what it is there for.
create table spend.silent_table (silent_column text, told_column text, gone_column text);
comment on column spend.silent_table.told_column is 'Told.';
alter table spend.silent_table drop column gone_column;
create view spend.silent_view with (security_invoker = true) as select 1 as silent_column;
create type spend.silent_type as (silent_column text);
create domain spend_private.silent_domain as text;
create table spend_private.silent_table (silent_column text);
create table spend_private.silent_partition partition of spend.cost_events for values from ('1970-01-01') to ('1970-02-01');
create function spend_private.silent_function(silent_argument integer) returns integer language sql as 'select 1';
create function spend_private.silent_trigger() returns trigger language plpgsql as 'begin return null; end';
select set_eq(
  $$ select d.kind, d.name from described as d where d.comment is null and d.name like '%silent%' $$,
  $$ values
    ('table', 'spend.silent_table'), ('view', 'spend.silent_view'), ('type', 'spend.silent_type'),
    ('column of a table', 'spend.silent_table.silent_column'), ('column of a view', 'spend.silent_view.silent_column'),
    ('column of a type', 'spend.silent_type.silent_column'), ('domain', 'spend_private.silent_domain'),
    ('table', 'spend_private.silent_table'), ('function', 'spend_private.silent_function(integer)'),
    ('trigger function', 'spend_private.silent_trigger()') $$,
  'Each of ten objects without a comment is found, and neither a partition nor a dropped column is'
);
comment on column spend.quota_status.remaining_usd is null;
select is(
  (select string_agg(d.kind || ' ' || d.name, ', ') from described as d where d.comment is null and d.name like '%quota_status%'),
  'column of a view spend.quota_status.remaining_usd',
  'A single comment that is taken away is found'
);

select * from finish();
rollback;
