-- The answers to mistakes in tables of configuration. The constraints say what is right; the comment on a constraint
-- says it in words: "<field>: <what may be there>. <what to do>". These triggers find the constraint that a row breaks
-- before Postgres does, and answer with its comment. Where they do not run, or see nothing, the constraint still holds.
-- Triggers run in the order of their names, and a foreign key is one too, RI_…: "Explain_…", quoted, runs before it.

create function spend_private.explain_mistakes()
returns trigger
language plpgsql
-- Definer: whoever makes the mistake need not be able to read what the constraints are about.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- RLS speaks before what is missing or taken: who sees some rows alone must not learn of the others.
  v_is_confined boolean := not (spend_private.sees_all_rows() or spend_private.operator_role() is not null);
  v_found text := spend_private.missing_field(new);
  v_callers text;
begin
  if v_found is not null then
    if v_is_confined then
      return new;
    end if;
    perform spend_private.fail(
      '22023', 'invalid_' || tg_argv[0], jsonb_build_object('field', v_found, 'value', null),
      format('%s may not be null. %s', v_found, spend_private.field_comment(tg_relid, v_found))
    );
  end if;
  v_found := spend_private.broken_check(new);
  if v_found is not null then
    perform spend_private.fail_constraint('22023', 'invalid_' || tg_argv[0], tg_relid, v_found, to_jsonb(new));
  end if;
  if v_is_confined then
    return new;
  end if;

  if tg_op = 'INSERT' then
    v_found := spend_private.taken_key(new, null);
    if v_found is not null then
      get diagnostics v_callers = pg_context;
      if not spend_private.is_plain_insert(v_callers) then
        return new;
      end if;
    end if;
  else
    v_found := spend_private.taken_key(new, old);
  end if;
  if v_found is not null then
    perform spend_private.fail_constraint('PT409', 'duplicate_' || tg_argv[0], tg_relid, v_found, to_jsonb(new));
  end if;
  return new;
end;
$$;
comment on function spend_private.explain_mistakes is
  'Trigger of tables of configuration; its argument is what a row is. Says what is wrong about a row before a constraint would, in words: 22023 invalid_<row>, PT409 duplicate_<row>, each with the field, and the comment on the constraint as hint.';

create function spend_private.explain_references()
returns trigger
language plpgsql
-- Definer: see explain_mistakes.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_constraint text := spend_private.missing_reference(new);
begin
  if v_constraint is not null then
    perform spend_private.fail_constraint(
      'PT404', 'unknown_' || rtrim(spend_private.referenced_table(tg_relid, v_constraint), 's'),
      tg_relid, v_constraint, to_jsonb(new)
    );
  end if;
  return null;
end;
$$;
comment on function spend_private.explain_references is
  'Trigger of tables of configuration. Says what a row names that is not there, before its foreign key would: PT404 unknown_<row>, as explain_mistakes. After the row: the same statement may insert what it names.';

create function spend_private.explain_uses()
returns trigger
language plpgsql
-- Definer: see explain_mistakes.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_used_by text := spend_private.user_of_row(tg_relid, to_jsonb(old), tg_op = 'DELETE');
begin
  if v_used_by is not null then
    perform spend_private.fail(
      'PT409', tg_argv[0] || '_in_use',
      jsonb_build_object('field', tg_argv[1], 'value', to_jsonb(old) -> tg_argv[1], 'used_by', v_used_by),
      format('Rows of %s name it. Change or delete those first, or leave this %s as it is.', v_used_by, tg_argv[0])
    );
  end if;
  return null;
end;
$$;
comment on function spend_private.explain_uses is
  'Trigger of tables of configuration whose rows others name, when a row goes or gets another key; its arguments: what a row is, and its key. Says who names it, before a foreign key would: PT409 <row>_in_use.';

create function spend_private.fail_constraint(
  p_sqlstate text,
  p_message text,
  p_table regclass,
  p_constraint text,
  p_row jsonb
)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_answer text := (
    select obj_description(c.oid, 'pg_constraint')
    from pg_constraint as c
    where c.conrelid = p_table and c.conname = p_constraint
  );
  v_field text := split_part(v_answer, ':', 1);
  -- Which one is there already, say.
  v_columns jsonb := (
    select jsonb_object_agg(a.attname, p_row -> a.attname)
    from pg_constraint as c
    join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
    where c.conrelid = p_table and c.conname = p_constraint
  );
begin
  if v_answer is null then
    return;
  end if;
  perform spend_private.fail(
    p_sqlstate, p_message,
    jsonb_build_object(
      'field', v_field, 'value', p_row -> v_field, 'constraint', p_constraint, 'columns', v_columns
    ),
    v_answer || coalesce(' ' || spend_private.suggestion(v_field, p_row ->> v_field), '')
  );
end;
$$;
comment on function spend_private.fail_constraint is
  'Raises what a row that breaks a constraint is answered with: the field, its value, the columns that the constraint is about, and what its comment says. Of a constraint without a comment Postgres speaks.';

create function spend_private.field_comment(p_table regclass, p_field text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(
    (
      select obj_description(c.oid, 'pg_constraint')
      from pg_constraint as c
      where c.conrelid = p_table and c.contype in ('c', 'f')
        and split_part(obj_description(c.oid, 'pg_constraint'), ':', 1) = p_field
      order by cardinality(c.conkey), c.contype, c.conname
      limit 1
    ),
    (
      select format('%s: %s', a.attname, col_description(a.attrelid, a.attnum))
      from pg_attribute as a
      where a.attrelid = p_table and a.attname = p_field
    )
  );
end;
$$;
comment on function spend_private.field_comment is
  'What may be in a column, in words: by a constraint of it, or else by its own comment.';

create function spend_private.referenced_table(p_table regclass, p_constraint text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select t.relname
    from pg_constraint as c
    join pg_class as t on t.oid = c.confrelid
    where c.conrelid = p_table and c.conname = p_constraint
  );
end;
$$;
comment on function spend_private.referenced_table is
  'The name of the table that a foreign key leads to.';

create function spend_private.user_of_row(p_table regclass, p_row jsonb, p_is_deleted boolean)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_key record;
  v_is_used boolean;
begin
  for v_key in
    select c.conrelid::regclass as source,
      string_agg(format('f.%I = r.%I', a.attname, g.attname), ' and ') as matches
    from pg_constraint as c
    cross join lateral unnest(c.conkey, c.confkey) as k (own, other)
    join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.own
    join pg_attribute as g on g.attrelid = c.confrelid and g.attnum = k.other
    where c.confrelid = p_table and c.contype = 'f'
      and case when p_is_deleted then c.confdeltype else c.confupdtype end in ('a', 'r')
    group by c.conname, c.conrelid
    order by c.conname
  loop
    execute format(
      'select exists (select from %s as f cross join jsonb_populate_record(null::%s, $1) as r where %s)',
      v_key.source, p_table, v_key.matches
    ) into v_is_used using p_row;
    if v_is_used then
      return v_key.source;
    end if;
  end loop;
  return null;
end;
$$;
comment on function spend_private.user_of_row is
  'A table with rows that name a row, and whose foreign key forbids that it goes, or gets another key; null: there is none.';

create function spend_private.is_plain_insert(p_context text)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Without the trigger itself. Of a function, its statement comes next: 'SQL statement "insert into …'.
  v_callers text := ltrim(substr(p_context, strpos(p_context || E'\n', E'\n')), E'\n');
  -- Who says what is to be done about a conflict gets that done. A trigger is not told, so this looks for it; where it
  -- does not see the statement (prepared, or in a function that is not plpgsql, or longer than what is typed by hand, so
  -- that an import does not search itself for every row), Postgres answers.
  v_statement text := case when v_callers = '' then current_query() else v_callers end;
begin
  return octet_length(v_statement) <= 10000
    and v_statement ~* case when v_callers = '' then '\m(insert|copy)\M' else '^[^"\n]*"\s*(insert|with)\M' end
    and v_statement !~* '\mon\s+conflict\M';
end;
$$;
comment on function spend_private.is_plain_insert is
  'Whether the statement that fired a trigger inserts without an "on conflict". p_context: pg_context of the trigger.';
