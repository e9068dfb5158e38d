create function spend.report_problems(job text, problems jsonb)
returns integer
language plpgsql volatile
-- Definer: no role may write problems itself.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_problem record;
  v_subjects text[] := '{}';
begin
  if report_problems.job is null or length(report_problems.job) not between 1 and 100
    or report_problems.job = any (array(select j.job from spend.maintenance_jobs() as j))
    or jsonb_typeof(report_problems.problems) is distinct from 'array'
    or jsonb_path_exists(report_problems.problems, '$[*] ? (@.type() != "object")')
  then
    perform spend_private.fail(
      '22023', 'invalid_problem', jsonb_build_object('job', report_problems.job),
      'job: a name that is not one of spend.maintenance_jobs(). problems: [{"subject", "message", "details"}, …].'
    );
  end if;
  for v_problem in
    select
      coalesce(left(p.subject, 500), 'job') as subject, coalesce(left(p.message, 2000), 'unknown') as message,
      p.details
    from jsonb_to_recordset(report_problems.problems) as p (subject text, message text, details jsonb)
    order by 1
  loop
    perform spend_private.record_problem(
      report_problems.job, v_problem.subject, v_problem.message, v_problem.details
    );
    v_subjects := v_subjects || v_problem.subject;
  end loop;

  update spend.problems as p set resolved_at = now()
  where p.job = report_problems.job and p.resolved_at is null and p.subject <> all (v_subjects);
  return cardinality(v_subjects);
end;
$$;
comment on function spend.report_problems is
  'Records what a worker outside of the database failed at in a complete run: each of problems, [{"subject","message","details"}, …]; closes the job''s other problems. Returns how many are open. The edge function maintenance calls it for job reconcile.
Errors: 22023 invalid_problem. For service_role.';
grant execute on function spend.report_problems to service_role;
