create function spend.maintain()
returns jsonb
language plpgsql volatile
-- Definer: it makes and drops partitions and writes what nobody else may.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job text;
  v_count bigint;
  v_is_over boolean := false;
  v_done jsonb := '{}';
begin
  for v_job in
    select j.job
    from spend.maintenance_jobs() with ordinality as j (job, batch, place)
    -- All in one transaction: jobs that calls wait for come last, since locks are held until the end.
    order by j.job in ('make_partitions', 'drop_months') desc, j.job in ('follow_plans', 'expire_reservations'), j.place
  loop
    v_count := case when not v_is_over then spend_private.run_job(v_job) end;
    v_done := v_done || jsonb_build_object(v_job, v_count);
    -- These block bookings and reports until the transaction ends: leave the others to the next run.
    v_is_over := v_is_over or (v_job in ('make_partitions', 'drop_months') and coalesce(v_count, 0) > 0);
  end loop;
  return v_done;
end;
$$;
comment on function spend.maintain() is
  'Does all periodic jobs in one transaction, and returns what it did: {"expire_reservations": 3, "roll_up": 240, …}, in rows; null for a job that is left to the next run: another session is doing it, the ledger''s partitions were just changed, a lock was not granted, or it failed (spend.problems and an alert say why). Safe to run concurrently and beside traffic. Schedule call spend.run_maintenance() instead, or the edge function maintenance: they commit after each step. For service_role.';
grant execute on function spend.maintain() to service_role;

create function spend.maintain(job text)
returns jsonb
language plpgsql volatile
-- Definer: see spend.maintain().
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_batch bigint;
begin
  select j.batch into v_batch from spend.maintenance_jobs() as j where j.job = maintain.job;
  if not found then
    perform spend_private.fail(
      '22023', 'unknown_job', jsonb_build_object('job', maintain.job), 'Pass a job of spend.maintenance_jobs().'
    );
  end if;
  return jsonb_build_object(maintain.job, spend_private.run_job(maintain.job, now(), v_batch));
end;
$$;
comment on function spend.maintain(text) is
  'One step of one job of spend.maintain(): {"roll_up": 240}. After a full batch (spend.maintenance_jobs) there is more to do.
Errors: 22023 unknown_job. For service_role.';
grant execute on function spend.maintain(text) to service_role;
