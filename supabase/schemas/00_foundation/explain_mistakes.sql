-- Answers to mistakes in configuration tables. The constraints define what is valid, and the comment on a constraint
-- explains it: "<field>: <what is valid>. <what to do>". These triggers find the violated constraint before Postgres
-- does, and raise its comment. Where a trigger does not run, or finds nothing, the constraint still holds. Triggers
-- fire in the order of their names, and foreign keys are triggers named RI_…: "Explain_…", quoted, fires first.

create function spend_private.explain_mistakes()
returns trigger
language plpgsql
-- Definer: the caller may lack the right to read the tables that the constraints are about.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Row-level security answers first: a caller who sees only some rows must not learn about the others.
  v_is_confined boolean := not spend_private.may_operate();
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
  'Trigger of configuration tables; its argument names the kind of row. Explains an invalid row before the constraint fails: 22023 invalid_<row>, PT409 duplicate_<row>, each with the field, and the comment on the constraint as hint.';

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
  'Trigger of configuration tables. Explains a reference to a missing row before the foreign key fails: PT404 unknown_<row>, as explain_mistakes. An after trigger: the same statement may insert the other row.';

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
      format('Rows of %s refer to it. Change or delete those first, or keep this %s.', v_used_by, tg_argv[0])
    );
  end if;
  return null;
end;
$$;
comment on function spend_private.explain_uses is
  'Trigger of configuration tables that others refer to, when a row is deleted or gets another key; its arguments: the kind of row, and its key. Says which table refers to it, before the foreign key fails: PT409 <row>_in_use.';

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
  -- The values of the key that exists already, for example.
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
  'Raises the error for a row that violates a constraint: the field, its value, the constraint''s columns, and its comment as hint. Does nothing for a constraint without a comment: then Postgres raises its own error.';

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
  'What a column may contain: the comment on its constraint, or else on the column.';

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
  'Name of the table that a foreign key refers to.';

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
  'A table with rows that refer to this row by a foreign key that forbids its delete, or its new key; null when there is none.';

create function spend_private.is_plain_insert(p_context text)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- The call stack without the trigger. In a function, its statement comes next: 'SQL statement "insert into …'.
  v_callers text := ltrim(substr(p_context, strpos(p_context || E'\n', E'\n')), E'\n');
  -- An upsert handles the conflict itself. A trigger cannot tell, so this searches the statement. Where there is no
  -- text to search (prepared, or a function that is not plpgsql), or more than people type (an import must not search
  -- itself for every row), Postgres reports the conflict.
  v_statement text := case when v_callers = '' then current_query() else v_callers end;
begin
  return octet_length(v_statement) <= 10000
    and v_statement ~* case when v_callers = '' then '\m(insert|copy)\M' else '^[^"\n]*"\s*(insert|with)\M' end
    -- Comments may stand between the words.
    and v_statement !~* '\mon\M(\s|--[^\n]*|/\*.*\*/)*\mconflict\M';
end;
$$;
comment on function spend_private.is_plain_insert is
  'Whether the statement that fired a trigger inserts without an "on conflict". p_context: pg_context of the trigger.';
