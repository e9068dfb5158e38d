begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;

-- Whoever has SQL may make types, functions, operators and tables in pg_temp, and in any schema where the project lets
-- them. Ours must never find those: every function says where it looks names up, and what is stored as an expression
-- names nothing of a schema that somebody else could write to.

-- Schemas that only their owner and the server's can create in.
create temporary table trusted_schema (name text);
insert into trusted_schema (name) values ('pg_catalog'), ('spend'), ('spend_private');

-- Functions without a search_path of their own, each with its reason. A procedure that commits cannot have one; it must
-- then be security invoker, and name the schema of everything in it.
create temporary table without_search_path (name text, reason text);
insert into without_search_path (name, reason) values
  ('spend.run_maintenance(integer)', 'commits after each job');

create temporary view routine as
select p.oid, p.oid::regprocedure::text as name, p.prosecdef as is_definer, p.prosrc as source, p.prokind as kind,
  -- search_path as a list of names: {pg_catalog,pg_temp}; null where it is not set.
  (
    select array(select trim(both ' "' from e.name) from unnest(string_to_array(substr(s.setting, 13), ',')) as e (name))
    from unnest(p.proconfig) as s (setting) where s.setting like 'search\_path=%'
  ) as path
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
where n.nspname in ('spend', 'spend_private');

select plan(15);

-- Functions
select is_empty(
  $$ select name, path from routine
     where name not in (select w.name from without_search_path as w)
       and (path is null or path[1] <> 'pg_catalog' or path[cardinality(path)] <> 'pg_temp' or cardinality(path) < 2) $$,
  'Every function looks names up in pg_catalog first and in pg_temp last'
);
select is_empty(
  $$ select name, p from routine, unnest(path) as p
     where p <> 'pg_temp' and p not in (select t.name from trusted_schema as t) $$,
  'No function looks names up in a schema that others may create in'
);
select is_empty(
  $$ select w.name from without_search_path as w left join routine as r on r.name = w.name
     where r.name is null or r.is_definer or r.kind <> 'p' or r.path is not null $$,
  'Only procedures that run as their caller are excepted'
);
select is_empty(
  $$ select name from routine where is_definer and not coalesce(path[cardinality(path)] = 'pg_temp', false) $$,
  'No function that runs as its owner looks into pg_temp before the end'
);
select is_empty(
  -- write_answer says it of the functions that it writes.
  $$ select name from routine where source ~* '\msearch_path\M' and name not like 'spend_private.write_answer(%' or source ~* 'set_config\s*\(\s*''(role|session_authorization)''' $$,
  'No function changes its search_path or its role while it runs'
);
select is_empty(
  $$ select p.oid::regprocedure, a.grantee
     from pg_proc as p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
     where p.oid in (select r.oid from routine as r) and a.grantee = 0 $$,
  'No function can be called by public'
);
select is_empty(
  $$ select n.nspname, a.grantee::regrole from pg_namespace as n, aclexplode(n.nspacl) as a
     where n.nspname in ('spend', 'spend_private') and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner $$,
  'Nobody but the owner creates anything in spend and spend_private'
);

select is_empty(
  $$ select r.name, a.role from routine as r
     cross join (values ('authenticated'), ('service_role')) as a (role)
     where not r.is_definer and r.source ~ 'spend_private\.'
       -- Who writes a table runs its triggers.
       and (has_function_privilege(a.role, r.oid, 'execute') or r.oid in (select t.tgfoid from pg_trigger as t))
       and not exists (select from without_search_path as w where w.name = r.name) $$,
  'No function that runs as its caller names anything in spend_private, nor does a trigger'
);

-- What is stored as an expression is resolved once, by whoever created it; so it is safe if what it found is. Views,
-- policies, WHEN clauses, defaults, checks (also of types), indexes, generated columns, arguments' defaults, columns'
-- types, aggregates:
-- all leave their dependencies here. What PostgreSQL itself brought is not listed, and cannot be changed by others.
create temporary view reference as
with ours as (
  select d.classid, d.objid, d.refclassid, d.refobjid, pg_describe_object(d.classid, d.objid, d.objsubid) as who
  from pg_depend as d
  cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) as i
  left join pg_rewrite as w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid
  left join pg_policy as y on d.classid = 'pg_policy'::regclass and y.oid = d.objid
  left join pg_trigger as g on d.classid = 'pg_trigger'::regclass and g.oid = d.objid
  left join pg_attrdef as f on d.classid = 'pg_attrdef'::regclass and f.oid = d.objid
  left join pg_constraint as k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
  left join pg_class as c on c.oid = coalesce(w.ev_class, y.polrelid, g.tgrelid, f.adrelid, nullif(k.conrelid, 0))
  left join pg_namespace as n on n.oid = c.relnamespace
  where coalesce(n.nspname, i.schema) in ('spend', 'spend_private')
)

select o.who, o.refclassid::regclass::text as kind, r.schema as schema, r.identity as what
from ours as o
cross join lateral pg_identify_object(o.refclassid, o.refobjid, 0) as r
where o.refclassid in (
  'pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_class'::regclass, 'pg_collation'::regclass,
  'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_cast'::regclass
);
select cmp_ok(
  (select count(distinct what) from reference where kind = 'pg_proc' and schema = 'spend_private')::integer, '>', 10,
  'More than ten functions that expressions use are looked at'
);
select is_empty(
  $$ select distinct kind, what, who from reference
     where schema is not null and schema not in (select t.name from trusted_schema as t)
       -- Supabase's own, which nobody else writes to: who is signed in, and whom the members refer to.
       and (kind, what) not in (('pg_proc', 'auth.uid()'), ('pg_class', 'auth.users'), ('pg_class', 'auth.users_pkey')) $$,
  'No view, policy, trigger, default, check, index or column uses a schema that others may write to'
);

-- A value of a type with a check runs the check wherever it goes, as whoever handles the value.
select is_empty(
  $$ select t.typname, pg_get_constraintdef(k.oid)
     from pg_constraint as k
     join pg_type as t on t.oid = k.contypid
     join pg_namespace as n on n.oid = t.typnamespace
     where n.nspname in ('spend', 'spend_private') and exists (
       select from pg_depend as d
       where d.classid = 'pg_constraint'::regclass and d.objid = k.oid
         and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass)
     ) $$,
  'No check of a type calls anything but PostgreSQL''s own'
);
select is_empty(
  $$ select c.oid::regclass from pg_class as c
     join pg_namespace as n on n.oid = c.relnamespace
     where n.nspname in ('spend', 'spend_private') and c.relkind in ('v', 'm')
       and not (c.relkind = 'v' and coalesce('security_invoker=true' = any (c.reloptions), false)) $$,
  'Every view runs with its reader''s rights'
);
select is_empty(
  $$ select r.rulename from pg_rules as r where r.schemaname in ('spend', 'spend_private') $$, 'No table has a rule'
);

-- The checks themselves: each finds what it is there for.
create function public.borrowed(p_text text) returns boolean language sql immutable as 'select true';
create view spend_private.lent with (security_invoker = true) as select public.borrowed('x') as x;
create table spend_private.leaning (x text default public.borrowed('x')::text constraint is_borrowed check (public.borrowed(x)));
create index leaning_idx on spend_private.leaning (public.borrowed(x));
create policy "borrowers read" on spend_private.leaning for select to authenticated using (public.borrowed(x));
select set_eq(
  $$ select distinct who from reference where what like 'public.borrowed(%)' $$,
  $$ values ('rule _RETURN on view spend_private.lent'), ('default value for column x of table spend_private.leaning'),
    ('constraint is_borrowed on table spend_private.leaning'), ('index spend_private.leaning_idx'),
    ('policy borrowers read on table spend_private.leaning') $$,
  'A view, a default, a check, an index and a policy that use a function of public are found'
);
create function spend_private.careless() returns void language plpgsql security definer set search_path = '' as 'begin end';
create function spend_private.silent() returns void language plpgsql as 'begin end';
create function spend_private.inviting() returns void language plpgsql set search_path = pg_catalog, public, pg_temp as 'begin end';
select results_eq(
  $$ select name from routine
     where name not in (select w.name from without_search_path as w) and (
       path is null or path[1] <> 'pg_catalog' or path[cardinality(path)] <> 'pg_temp'
       or exists (select from unnest(path) as p where p <> 'pg_temp' and p not in (select t.name from trusted_schema as t))
     )
     order by name $$,
  $$ values ('spend_private.careless()'), ('spend_private.inviting()'), ('spend_private.silent()') $$,
  'Functions with an empty search_path, with none and with public in it are found'
);

select * from finish();
rollback;
