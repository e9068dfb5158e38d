create function spend.sweep_from(project text)
returns text
language plpgsql stable
-- Definer: no role may read spend_private.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select s.next_token from spend_private.sandbox_sweeps as s where s.project = sweep_from.project
  );
end;
$$;
comment on function spend.sweep_from is
  'Token of the next page of E2B''s paused sandboxes to read; null: the first one. For service_role.';
grant execute on function spend.sweep_from to service_role;
