create function spend_private.looks_like(p_new text, p_old text)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_new text;
  v_old text;
begin
  -- Nobody mistypes a name of more than 200 bytes, and comparing them all would take minutes.
  if p_new = p_old or octet_length(p_new) > 200 or octet_length(p_old) > 200 then
    return false;
  end if;
  v_new := lower(p_new);
  v_old := lower(p_old);
  if abs(length(v_new) - length(v_old)) > 2 then
    return false;
  elsif v_new = v_old then
    return true;
  end if;
  -- 'gpt-5.4' is the next version of 'gpt-5.3'; and two other letters of three make another name.
  return translate(v_new, '0123456789.', '') <> translate(v_old, '0123456789.', '')
    and spend_private.edit_distance(v_new, v_old) <= least(2, length(v_new) / 3, length(v_old) / 3);
end;
$$;
comment on function spend_private.looks_like is
  'Whether two names differ only by case or by a typo or two, and not by their version.';

create function spend_private.edit_distance(p_one text, p_other text)
returns integer
language plpgsql immutable strict
set search_path = pg_catalog, pg_temp
as $$
declare
  v_length integer := length(p_other);
  v_above integer[];
  v_row integer[];
  v_least integer;
  v_char text;
begin
  if abs(length(p_one) - v_length) > 2 then
    return 3;
  end if;
  v_row := array(select generate_series(0, v_length));
  for i in 1 .. length(p_one) loop
    v_above := v_row;
    v_row := array[i];
    v_least := i;
    v_char := substr(p_one, i, 1);
    for j in 1 .. v_length loop
      v_row[j + 1] := least(
        v_above[j + 1] + 1, v_row[j] + 1, v_above[j] + (v_char <> substr(p_other, j, 1))::integer
      );
      v_least := least(v_least, v_row[j + 1]);
    end loop;
    -- It only grows from here on.
    if v_least > 2 then
      return 3;
    end if;
  end loop;
  return least(v_row[v_length + 1], 3);
end;
$$;
comment on function spend_private.edit_distance is
  'Characters to insert, delete or replace until two texts are the same: 0, 1, 2, or 3 for 3 and more.';
