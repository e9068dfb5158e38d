// Objects that somebody with SQL makes so that our code finds them instead of PostgreSQL's own: each tells who runs it,
// and uses the moment, if that is not whoever made it.
import type { Sql } from "postgres";

/** Names that our functions, views and policies may look up. */
export interface Names {
  functions: string[];
  relations: string[];
  operators: string[];
}

/** What the bodies of our functions mention of PostgreSQL's own functions, operators and relations, and our relations. */
export async function namesInUse(sql: Sql): Promise<Names> {
  const [names] = await sql<Names[]>`
    with source as (
      select string_agg(p.prosrc, ' ') as text
      from pg_proc as p where p.pronamespace in ('spend'::regnamespace, 'spend_private'::regnamespace)
    ),

    word as (
      select distinct lower(m.match[1]) as word
      from source as s, regexp_matches(s.text, '([a-zA-Z_][a-zA-Z_0-9]*)', 'g') as m (match)
    )

    select
      array(
        select distinct p.proname::text
        from pg_proc as p join word as w on w.word = p.proname
        where p.pronamespace = 'pg_catalog'::regnamespace
      ) as functions,
      array(
        select distinct c.relname::text
        from pg_class as c
        where c.relkind in ('r', 'p', 'v') and (
          c.relnamespace in ('spend'::regnamespace, 'spend_private'::regnamespace)
          or c.relnamespace = 'pg_catalog'::regnamespace and (
            c.relname in (select w.word from word as w) or c.relname in ('pg_class', 'pg_inherits', 'pg_namespace')
          )
        )
      ) as relations,
      array(
        select distinct o.oprname::text
        from pg_operator as o, source as s
        where o.oprnamespace = 'pg_catalog'::regnamespace and strpos(s.text, o.oprname) > 0
      ) as operators`;
  if (names === undefined) throw new Error("no names");
  return names;
}

/** Types that hostile operators are made for. */
const TYPES = `'{anyarray,anycompatible,anycompatiblearray,anyelement,anynonarray,anyrange,bool,bpchar,char,date,float8,int2,int4,int8,interval,
  json,jsonb,name,numeric,oid,oidvector,regclass,text,time,timestamp,timestamptz,tstzrange,uuid,varchar,xid8}'`;

/**
 * Makes, as whoever the session is, in `schema` (pg_temp, or one that the role may create in): functions, aggregates'
 * names and operators; and in pg_temp domains named like each type, and views named like relations.
 * `victim` and `attacker` are the tenant and user of the row that is written where the code runs as somebody else.
 */
export async function makeHostileObjects(
  session: Sql,
  schema: string,
  names: Names,
  { victim, attacker }: { victim: string; attacker: string },
): Promise<void> {
  await session.unsafe(`set search_path = pg_catalog, pg_temp`);
  await session.unsafe(`
    create function ${schema}.saw(what pg_catalog.text) returns pg_catalog.bool
    language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
    begin
      if current_user::text <> current_setting('attack.caller') then
        raise notice 'SAW % by %', what, current_user;
        begin
          insert into spend.tenant_members (tenant_id, user_id, role) values ('${victim}', '${attacker}', 'owner')
          on conflict do nothing;
        exception when others then null;
        end;
      end if;
      return true;
    end $$`);
  const list = (of: string[]) => `'{${of.map((name) => `"${name}"`).join(",")}}'::text[]`;
  await session.unsafe(`do $do$
    declare
      it record;
      body text;
    begin
      for it in
        select p.*, pg_get_function_arguments(p.oid) as parameters, pg_get_function_result(p.oid) as result,
          (select coalesce(string_agg('$' || i, ', '), '') from generate_series(1, p.pronargs) as i) as passed
        from pg_proc as p
        where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any (${list(names.functions)})
          and p.provariadic = 0
      loop
        body := format('begin perform ${schema}.saw(%L); ', it.proname);
        body := body || case
          when it.prokind <> 'f' then 'return null; end'
          when it.proretset and it.prorettype = 'record'::regtype then format('return query select * from pg_catalog.%I(%s); end', it.proname, it.passed)
          when it.proretset then format('return query select pg_catalog.%I(%s); end', it.proname, it.passed)
          when it.prorettype = 'void'::regtype then format('perform pg_catalog.%I(%s); end', it.proname, it.passed)
          when it.proargmodes is not null then 'return; end'
          else format('return pg_catalog.%I(%s); end', it.proname, it.passed)
        end;
        begin
          execute format('create function ${schema}.%I(%s) returns %s language plpgsql as %L', it.proname,
            regexp_replace(it.parameters, ' ORDER BY .*', ''), it.result, body);
        exception when others then null; -- PL/pgSQL has no such types.
        end;
      end loop;

      for it in
        select o.*, o.oprleft::regtype as left_type, o.oprright::regtype as right_type, o.oprresult::regtype as result_type
        from pg_operator as o
        where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprkind = 'b' and o.oprname = any (${list(names.operators)})
          and o.oprleft::regtype::text = any (array(select t::regtype::text from unnest(${TYPES}::text[]) as t))
          and o.oprright::regtype::text = any (array(select t::regtype::text from unnest(${TYPES}::text[]) as t))
      loop
        begin
          execute format('create function ${schema}.op_%s(%s, %s) returns %s language plpgsql as %L', it.oid, it.left_type,
            it.right_type, it.result_type,
            format('begin perform ${schema}.saw(%L); return $1 operator(pg_catalog.%s) $2; end', 'operator ' || it.oprname, it.oprname));
          execute format('create operator ${schema}.%s (leftarg = %s, rightarg = %s, function = ${schema}.op_%s)', it.oprname,
            it.left_type, it.right_type, it.oid);
        exception when others then null;
        end;
      end loop;
    end $do$`);
}

/** In pg_temp: a domain named like each of PostgreSQL's types, a view named like each relation, a type that casts itself. */
export async function makeTemporaryNames(session: Sql, names: Names): Promise<void> {
  await session.unsafe(`set search_path = pg_catalog, pg_temp`);
  await session.unsafe(`
    do $do$
    declare
      it record;
    begin
      for it in
        select t.typname
        from pg_type as t
        where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype in ('b', 'r', 'm') and t.typcategory <> 'A'
      loop
        begin
          execute format('create domain pg_temp.%I as pg_catalog.%I check (pg_temp.saw(%L::pg_catalog.text))', it.typname, it.typname,
            'type ' || it.typname);
        exception when others then null;
        end;
      end loop;

      for it in
        select c.relname, string_agg(format('null::%s as %I', case
            when t.typnamespace in ('pg_catalog'::regnamespace, 'spend'::regnamespace) and t.typtype <> 'p' then format_type(t.oid, null)
            else 'pg_catalog.text'
          end, a.attname), ', ' order by a.attnum) as columns
        from pg_class as c
        join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        join pg_type as t on t.oid = a.atttypid
        where c.relkind in ('r', 'p', 'v') and c.relname = any ('{${names.relations.join(",")}}'::text[])
          and c.relnamespace in (select n.oid from pg_namespace as n where n.nspname in ('pg_catalog', 'spend', 'spend_private'))
        group by c.oid, c.relname
      loop
        begin
          execute format('create view pg_temp.%I as select %s where pg_temp.saw(%L::pg_catalog.text)', it.relname, it.columns,
            'relation ' || it.relname);
        exception when others then null;
        end;
      end loop;

      create type pg_temp.sly as enum ('llm');
      create function pg_temp.from_sly(pg_temp.sly) returns pg_catalog.text language plpgsql as
        'begin perform pg_temp.saw(''cast''); return ''llm''; end';
      create cast (pg_temp.sly as pg_catalog.text) with function pg_temp.from_sly(pg_temp.sly) as implicit;
    end $do$`);
}

/** How many hostile objects the session has. */
export async function countHostileObjects(session: Sql, schema: string) {
  const [count] = await session<
    { types: number; relations: number; functions: number; operators: number }[]
  >`
    select
      (select count(*)::int from pg_catalog.pg_type as t where t.typnamespace = pg_my_temp_schema() and t.typtype = 'd') as types,
      (select count(*)::int from pg_catalog.pg_class as c where c.relnamespace = pg_my_temp_schema() and c.relkind = 'v') as relations,
      (select count(*)::int from pg_catalog.pg_proc as p where p.pronamespace = ${schema}::regnamespace and p.proname not like 'op\\_%') as functions,
      (select count(*)::int from pg_catalog.pg_operator as o where o.oprnamespace = ${schema}::regnamespace) as operators`;
  return count;
}
