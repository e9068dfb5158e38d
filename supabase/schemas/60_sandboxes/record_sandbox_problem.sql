create function spend_private.record_sandbox_problem(p_subject text, p_message text, p_now timestamptz)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  -- Once an hour, so that calls do not wait for this row.
  if not exists (
    select from spend.problems as p
    where p.job = 'sandboxes' and p.subject = p_subject and p.resolved_at is null
      and p.last_seen_at > p_now - interval '1 hour'
  ) then
    perform spend_private.record_problem('sandboxes', p_subject, p_message, p_now => p_now);
  end if;
end;
$$;
comment on function spend_private.record_sandbox_problem is
  'record_problem, job sandboxes, for what calls find wrong in E2B''s reports.';
