create function spend.maintenance_jobs()
returns table (job text, batch bigint)
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- What holds money or quota back comes first, what only tidies up last.
  return query values
    ('expire_reservations', 200::bigint),
    -- Their calls wait for the step: a few tenants at a time.
    ('follow_plans', 10),
    ('make_partitions', null),
    ('roll_up', 50000),
    ('record_alerts', 10000),
    ('verify', null),
    ('drop_months', null),
    ('delete_refusals', 10000),
    ('fold_refusals', 10000),
    ('delete_refusal_counts', 10000),
    ('delete_alerts', 10000),
    ('delete_balances', 10000),
    ('delete_conversations', 10000),
    ('delete_problems', 10000),
    ('delete_reservations', 5000),
    ('delete_contexts', 10000),
    ('delete_adjustment_keys', 10000),
    ('delete_strays', 10000),
    ('delete_audit', 10000),
    ('delete_cron_runs', 10000);
end;
$$;
comment on function spend.maintenance_jobs is
  'Jobs of spend.maintain(), in the order in which a run does them, each in a transaction of its own. batch: what one step does at most; a step that did as much has more to do, and is repeated while there is time. Null: one step is all. For service_role.';
grant execute on function spend.maintenance_jobs to service_role;
