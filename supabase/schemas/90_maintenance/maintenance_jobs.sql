create function spend.maintenance_jobs()
returns table (job text, batch bigint)
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Jobs that free holds or quotas come first, cleaning up last.
  return query values
    ('expire_reservations', 200::bigint),
    -- The tenants' calls wait for the step: a few at a time.
    ('follow_plans', 10),
    ('make_partitions', null),
    ('roll_up', 50000),
    ('record_alerts', 10000),
    ('find_expiries', null),
    ('verify', null),
    ('forecast_quotas', 500),
    ('find_unusual_spend', 200),
    ('drop_months', null),
    ('delete_refusals', 10000),
    ('fold_refusals', 10000),
    ('delete_refusal_counts', 10000),
    ('delete_alerts', 10000),
    ('delete_mutes', 10000),
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
  'Jobs of spend.maintain(), in the order in which a run does them, each in a transaction of its own. batch: the most that one step does; after a full batch there is more to do, and the step is repeated while there is time. Null: a job of one step. For service_role.';
grant execute on function spend.maintenance_jobs to service_role;
