-- The triggers of explain_mistakes call a function that finds the constraint that a row violates. These functions are
-- generated here from the constraints, so that no rule stands in two places.

create function spend_private.write_answers(p_table regclass)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.write_answer(
    'broken_check', p_table, '',
    (
      -- Checks of one column first: they may explain why those of several fail.
      select format(
        '(select case %s end from (select p_row.*) as _row)',
        string_agg(
          format('when (%s) is false then %L', pg_get_expr(c.conbin, c.conrelid), c.conname), ' '
          order by cardinality(c.conkey), c.conname
        )
      )
      from pg_constraint as c
      where c.conrelid = p_table and c.contype = 'c'
      having count(*) > 0
    ),
    'The check that a row violates; null: none.'
  );
  perform spend_private.write_answer(
    'missing_field', p_table, '',
    (
      select format(
        'case %s end',
        string_agg(format('when p_row.%I is null then %L', a.attname, a.attname), ' ' order by a.attnum)
      )
      from pg_attribute as a
      where a.attrelid = p_table and a.attnum > 0 and a.attnotnull and not a.attisdropped
    ),
    'The column of a row that is null and may not be; null: none.'
  );
  perform spend_private.write_answer(
    'taken_key', p_table, format(', p_old %s', p_table), spend_private.taken_key_of(p_table),
    'The key of a row, new or changed since p_old, that another row has already; null: none.'
  );
  perform spend_private.write_answer(
    'missing_reference', p_table, '', spend_private.missing_reference_of(p_table),
    'The foreign key of a row that refers to no row; null: none.'
  );
end;
$$;
comment on function spend_private.write_answers is
  'Generates the functions that explain_mistakes and explain_references call for a configuration table, from its present constraints. Call it again after a constraint of the table changes: until then Postgres reports a new one.';

create function spend_private.taken_key_of(p_table regclass)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select format(
      'case %s end',
      string_agg(
        format(
          'when (p_old is null or (%s) is distinct from (%s)) and exists (select from %s as t where %s) then %L',
          k.new_key, k.old_key, p_table, k.is_same, k.conname
        ), ' ' order by k.conname
      )
    )
    from (
      select c.conname,
        string_agg(format('p_row.%I', a.attname), ', ' order by o.place) as new_key,
        string_agg(format('p_old.%I', a.attname), ', ' order by o.place) as old_key,
        string_agg(
          format(
            -- The index can search for null, but not for "is not distinct from".
            case when i.indnullsnotdistinct and not a.attnotnull
              then '(t.%1$I = p_row.%1$I or (t.%1$I is null and p_row.%1$I is null))'
              else 't.%1$I = p_row.%1$I'
            end, a.attname
          ), ' and ' order by o.place
        ) as is_same
      from pg_constraint as c
      join pg_index as i on i.indexrelid = c.conindid
      cross join lateral unnest(c.conkey) with ordinality as o (attnum, place)
      join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = o.attnum
      where c.conrelid = p_table and c.contype in ('p', 'u')
      group by c.conname
    ) as k
  );
end;
$$;
comment on function spend_private.taken_key_of is
  'SQL: the primary or unique key of p_row that another row of the table has.';

create function spend_private.missing_reference_of(p_table regclass)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select format(
      'case %s end',
      string_agg(
        format(
          'when %s and not exists (select from %s as t where %s) then %L', f.is_set, f.target, f.is_same, f.conname
        ), ' ' order by f.conname
      )
    )
    from (
      select c.conname, c.confrelid::regclass as target,
        string_agg(format('p_row.%I is not null', a.attname), ' and ' order by k.place) as is_set,
        string_agg(format('t.%I = p_row.%I', g.attname, a.attname), ' and ' order by k.place) as is_same
      from pg_constraint as c
      cross join lateral unnest(c.conkey, c.confkey) with ordinality as k (own, other, place)
      join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.own
      join pg_attribute as g on g.attrelid = c.confrelid and g.attnum = k.other
      where c.conrelid = p_table and c.contype = 'f'
      group by c.conname, c.confrelid
    ) as f
    having count(*) > 0
  );
end;
$$;
comment on function spend_private.missing_reference_of is
  'SQL: the foreign key of p_row that refers to no row; null for a table that has none.';

create function spend_private.write_answer(
  p_name text,
  p_table regclass,
  p_more_arguments text,
  p_expression text,
  p_comment text
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function text := format('spend_private.%I(p_row %s%s)', p_name, p_table, p_more_arguments);
begin
  execute format(
    'create or replace function %s returns text language plpgsql volatile set search_path = pg_catalog, pg_temp as %L',
    v_function, format(E'begin\n  return %s;\nend;', coalesce(p_expression, 'null'))
  );
  execute format('revoke execute on function %s from public', v_function);
  execute format('comment on function %s is %L', v_function, p_comment || ' Written by write_answers.');
end;
$$;
comment on function spend_private.write_answer is
  'Writes one function of write_answers.';

do $$
begin
  perform spend_private.write_answers(t.tgrelid) from pg_trigger as t where t.tgname = 'explain_mistakes';
end;
$$;
