create function spend_private.resolve_problem(
  p_job text,
  p_subject text,
  p_now timestamptz default now()
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.resolve_problems(p_job, array[p_subject], p_now);
end;
$$;
comment on function spend_private.resolve_problem is
  'Closes the open problem of a job with a subject, if there is one. Called by the jobs.';

create function spend_private.resolve_problems(
  p_job text,
  p_subjects text[],
  p_now timestamptz default now()
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  update spend.problems as p set resolved_at = p_now
  where p.job = p_job and p.resolved_at is null and p.subject = any (p_subjects);
end;
$$;
comment on function spend_private.resolve_problems is
  'resolve_problem for many subjects.';
