create function spend_private.suggestion(p_field text, p_value text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_field <> 'time_zone' then
    return null;
  end if;
  return (
    select 'Did you mean ' || string_agg(z.name, ', ' order by z.distance, z.name) || '?'
    from (
      select n.name, d.distance
      from pg_timezone_names as n
      cross join lateral (
        -- 'tokyo' lacks its area.
        select spend_private.edit_distance(
          lower(case when strpos(p_value, '/') > 0 then n.name else regexp_replace(n.name, '^.*/', '') end),
          lower(replace(p_value, ' ', '_'))
        ) as distance
      ) as d
      where d.distance <= 2 and spend_private.is_time_zone(n.name) and length(p_value) between 3 and 60
      order by d.distance, n.name
      limit 3
    ) as z
  );
end;
$$;
comment on function spend_private.suggestion is
  'Suggests known values that are close to an unknown one ("Did you mean …?"); null when none is.';
