create function spend.sweep_to(project text, next_token text default null)
returns void
language plpgsql volatile
-- Definer: see spend.sweep_from.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if sweep_to.project is null then
    perform spend_private.fail_usage('project', 'is missing');
  elsif length(sweep_to.next_token) > 2000 then
    perform spend_private.fail_usage('next_token', 'is longer than 2000 characters');
  end if;
  insert into spend_private.sandbox_sweeps as s (project, next_token, swept_at)
  values (sweep_to.project, sweep_to.next_token, now())
  on conflict on constraint sandbox_sweeps_pkey do update set
    next_token = excluded.next_token, swept_at = excluded.swept_at;
end;
$$;
comment on function spend.sweep_to is
  'Stores how far E2B''s paused sandboxes were read; next_token null: to the end. Errors: 22023 invalid_usage. For service_role.';
grant execute on function spend.sweep_to to service_role;
