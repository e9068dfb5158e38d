create function spend_private.is_time_zone(p_name text)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_catalog.timezone(p_name, '2000-01-01 00:00:00+00'::timestamptz);
  -- timezone() takes abbreviations and POSIX forms too, 'Europe/Dublni5' among them. Those know no DST, and all have
  -- a digit; of IANA's zones only the fixed offsets have one.
  return p_name = 'UTC' or p_name ~ '^[A-Z][A-Za-z]+/[A-Za-z_/-]+$'
    or p_name ~ '^Etc/GMT(0|[+-]0|\+([1-9]|1[0-2])|-([1-9]|1[0-4]))$';
exception
  when invalid_parameter_value then
    return false;
end;
$$;
comment on function spend_private.is_time_zone is
  'Whether p_name is UTC or an IANA zone name such as Europe/Dublin: of those, the names with an area, not their old short forms (Japan, EST5EDT). Immutable for the constraint that uses it: zones are added to tzdata, never removed.';
grant execute on function spend_private.is_time_zone to service_role;
