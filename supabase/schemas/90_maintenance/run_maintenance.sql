create procedure spend.run_maintenance(max_seconds integer default 50)
language plpgsql
-- No SET, which would forbid to commit, and so each name with its schema. Invoker: maintain() does what needs the owner.
as $$
declare
  v_end pg_catalog.timestamptz := pg_catalog.clock_timestamp()
    operator(pg_catalog.+) pg_catalog.make_interval(secs => coalesce(run_maintenance.max_seconds, 50));
  v_jobs pg_catalog.text[] := array(select j.job from spend.maintenance_jobs() as j);
  v_batches pg_catalog.int8[] := array(select j.batch from spend.maintenance_jobs() as j);
  v_count pg_catalog.int8;
begin
  for v_place in 1..pg_catalog.cardinality(v_jobs) loop
    loop
      v_count := pg_catalog.jsonb_extract_path_text(spend.maintain(job => v_jobs[v_place]), v_jobs[v_place])::pg_catalog.int8;
      -- Releases the step's locks, and keeps what it did if a later one fails.
      commit;
      exit when (v_count operator(pg_catalog.<) v_batches[v_place]) is not false
        or pg_catalog.clock_timestamp() operator(pg_catalog.>=) v_end;
    end loop;
  end loop;
end;
$$;
comment on procedure spend.run_maintenance is
  'Does all jobs of spend.maintain() in order of importance, and commits after each step. Repeats a job that has more to do until max_seconds are over; after that, does each remaining job once. Cannot be called within a transaction. pg_cron calls it every minute where it exists. For service_role.';
grant execute on procedure spend.run_maintenance to service_role;
