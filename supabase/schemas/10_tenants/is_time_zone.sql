create function spend_private.is_time_zone(p_name text)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_catalog.timezone(p_name, '2000-01-01 00:00:00+00'::timestamptz);
  -- Offsets and POSIX forms such as 'XYZ+5' are accepted by timezone() but know no DST.
  return p_name = 'UTC' or p_name ~ '^[A-Z][A-Za-z_]+/[A-Za-z_/+0-9-]+$';
exception
  when invalid_parameter_value then
    return false;
end;
$$;
comment on function spend_private.is_time_zone is
  'Whether p_name is UTC or an IANA zone name such as Europe/Dublin. Immutable for the constraint that uses it: zones are added to tzdata, never removed.';
grant execute on function spend_private.is_time_zone to service_role;
