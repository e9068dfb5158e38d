create function spend_private.caller_role()
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(nullif(current_setting('role', true), 'none'), session_user);
end;
$$;
comment on function spend_private.caller_role is
  'The role that sent the statement, also within security definer functions: the one of set role, else the one that connected.';

create function spend_private.sees_all_rows()
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from pg_catalog.pg_roles as r
    where r.rolname = spend_private.caller_role()
      and (r.rolsuper or r.rolbypassrls or pg_has_role(r.oid, current_user, 'usage'))
  );
end;
$$;
comment on function spend_private.sees_all_rows is
  'Whether the role that sent the statement sees all rows. For security definer functions, which see all rows themselves.';
