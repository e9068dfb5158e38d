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
  'The role that a statement was sent as, also within functions that run as their owner: that of set role, or else of the connection.';

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
  'Whether row-level security hides nothing from who sent the statement. For functions that run as the owner of the tables.';
