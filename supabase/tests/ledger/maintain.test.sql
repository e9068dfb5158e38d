begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(25);

insert into auth.users (id) values ('00000000-0000-4000-8000-00000000000a');
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 2, '2020-01-01');
create function pg_temp.reserve(p_usd numeric, p_key text default null, p_now timestamptz default now())
returns spend.reserve_result language sql as $$
  select spend_private.reserve(
    'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm',
    jsonb_build_object('provider', 'test', 'model', 'model', 'input_tokens', (p_usd * 1000000)::bigint, 'output_tokens', 0),
    p_idempotency_key => p_key, p_now => p_now
  )
$$;

select pg_temp.reserve(10, p_now => now() - interval '11 minutes');
select pg_temp.reserve(1);
select pg_temp.reserve(1000, 'old');
select pg_temp.reserve(1000, 'fresh');
update spend_private.refusals set created_at = now() - interval '24 hours 1 second' where idempotency_key = 'old';
delete from spend.alerts;
insert into spend.alerts (tenant_id, quota_id, period_start, kind, threshold, details, created_at)
select null, 1000 + d, now(), 'quota_warning', 0.8, jsonb_populate_record(null::spend.quota_details, '{"limit_usd": 1}'), now() - make_interval(days => d)
from unnest(array[89, 91]) as d;
insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd)
values ('aaaaaaaa-0000-4000-8000-000000000001', '2035-05-05', 'adjustment', 'llm', 1);
insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd, booked_xid)
values ('aaaaaaaa-0000-4000-8000-000000000001', '2035-05-05', 'adjustment', 'llm', 1, '3');
create temporary table done as select spend.maintain() as jobs;
select is(
  (select jobs from done),
  '{"make_partitions": 1, "drop_months": null, "roll_up": null, "delete_alerts": null, "delete_refusals": null, "fold_refusals": null, "delete_refusal_counts": null, "delete_balances": null, "record_alerts": null, "find_expiries": null, "forecast_quotas": null, "find_unusual_spend": null, "delete_mutes": null, "expire_reservations": null, "follow_plans": null, "verify": null, "delete_conversations": null, "delete_problems": null, "delete_reservations": null, "delete_contexts": null, "delete_adjustment_keys": null, "delete_strays": null, "delete_audit": null, "delete_cron_runs": null}',
  'A run that makes a partition does nothing else, so that bookings wait for nothing else'
);
select is(
  spend.maintain() - '{verify,follow_plans}'::text[],
  '{"make_partitions": 0, "roll_up": 1, "drop_months": 0, "delete_alerts": 1, "delete_refusals": 1, "fold_refusals": 0, "delete_refusal_counts": 0, "delete_balances": 0, "record_alerts": 0, "find_expiries": 0, "forecast_quotas": 1, "find_unusual_spend": 1, "delete_mutes": 0, "expire_reservations": 1, "delete_conversations": 0, "delete_problems": 0, "delete_reservations": 0, "delete_contexts": 0, "delete_adjustment_keys": 0, "delete_strays": 0, "delete_audit": 0, "delete_cron_runs": 0}',
  'The next run rolls up, deletes an old alert and an old refusal, and expires a reservation'
);
select is((select status from spend.reservations where estimated_cost_usd = 10), 'expired', 'A reservation whose time is over has expired');
select is((select status from spend.reservations where estimated_cost_usd = 1), 'held', 'A reservation whose time is not over is still held');
select is((select string_agg(idempotency_key, ' ') from spend_private.refusals), 'fresh', 'A refusal is kept for a day');
select is((select count(*) from spend.alerts), 1::bigint, 'An alert is kept for 90 days');
select has_table('spend_private', 'cost_events_2035_05', 'A month that has events but no partition gets one');
select is(
  spend.maintain() - '{verify,follow_plans}'::text[],
  '{"make_partitions": 0, "roll_up": 0, "drop_months": 0, "delete_alerts": 0, "delete_refusals": 0, "fold_refusals": 0, "delete_refusal_counts": 0, "delete_balances": 0, "record_alerts": 0, "find_expiries": 0, "forecast_quotas": 0, "find_unusual_spend": 0, "delete_mutes": 0, "expire_reservations": 0, "delete_conversations": 0, "delete_problems": 0, "delete_reservations": 0, "delete_contexts": 0, "delete_adjustment_keys": 0, "delete_strays": 0, "delete_audit": 0, "delete_cron_runs": 0}',
  'A run right after finds nothing to do'
);

-- Alerts that calls crossed together, each seeing only its own slot: as if written by two transactions.
select set_config('test.quota', (select id from spend.cost_quotas where resource_type = 'llm')::text, true);
update spend_private.quota_balances set spent_usd = spent_usd + case slot when 0 then 30 else 40 end, is_below_threshold = false
where quota_id = current_setting('test.quota')::bigint and slot in (0, 1);
select is(spend.maintain() ->> 'record_alerts', '1', 'Maintenance records an alert that calls in two slots crossed together');
select is((select kind || ' ' || threshold from spend.alerts where quota_id = current_setting('test.quota')::bigint), 'quota_warning 0.800', '81 of 100 in two slots record a warning');
update spend_private.quota_balances set spent_usd = spent_usd + 20
where quota_id = current_setting('test.quota')::bigint and slot = 2;
select is(spend.maintain() ->> 'record_alerts', '1', 'Maintenance records that the limit is reached in a third slot');
select is(spend.maintain() ->> 'record_alerts', '0', 'Maintenance records each alert once');

-- Old balances
insert into spend.cost_quotas (tenant_id, scope, resource_type, period, limit_usd)
values ('aaaaaaaa-0000-4000-8000-000000000001', 'tenant', 'llm', 'hour', 50);
insert into spend_private.quota_balances (quota_id, period_start, slot, tenant_id, period_end, allotted_usd, spent_usd, reserved_usd)
select q.id, p.start, s.slot, q.tenant_id, p.start + interval '1 hour', 10, 0, case when p.is_open and s.slot = 1 then 1 else 0 end
from spend.cost_quotas as q
cross join (values (now() - interval '101 days', false), (now() - interval '99 days', false), (now() - interval '102 days', true)) as p (start, is_open)
cross join generate_series(0, 1) as s (slot)
where q.period = 'hour';
select is(spend.maintain() ->> 'delete_balances', '2', 'Balances of a period that ended 100 days ago are deleted, unless they hold something');
select is((select count(*) from spend_private.quota_balances where period_end < now()), 4::bigint, 'Balances that hold something, and newer ones, are kept');

-- Settings
select throws_ok('update spend.settings set keep_event_months = 1', '22023', null, 'Settings cannot keep less than two months of events');
select throws_ok('insert into spend.settings (is_only_row) values (false)', '22023', null, 'A second row of settings is refused');
update spend.settings set keep_event_months = 2;
select spend_private.ensure_partition('2020-01-01');
insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd)
values ('aaaaaaaa-0000-4000-8000-000000000001', '2020-01-15', 'adjustment', 'llm', 1);
select is(spend.maintain() ->> 'drop_months', '0', 'A month with events that are not rolled up is not dropped');
set local session_replication_role = replica;
update spend.cost_events set booked_xid = '3';
set local session_replication_role = origin;
select is(spend.maintain() ->> 'drop_months', '1', 'A month whose events are rolled up is dropped');

-- A job that fails, or that another session is at, stops no other.
create function pg_temp.break() returns trigger language plpgsql as 'begin raise exception ''broken''; end';
create trigger break before update on spend_private.ledger_state for each row execute function pg_temp.break();
update spend.settings set keep_event_months = null;
set local client_min_messages = error;
insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd, booked_xid)
select 'aaaaaaaa-0000-4000-8000-000000000001', now(), 'adjustment', 'llm', 1, s.rolled_up_before from spend_private.ledger_state as s;
select is(spend.maintain() -> 'expire_reservations', '0'::jsonb, 'When one job fails, the others run');
drop trigger break on spend_private.ledger_state;

-- Who may
select ok(has_function_privilege('service_role', 'spend.maintain()', 'execute'), 'service_role may run maintenance');
select ok(not has_function_privilege('authenticated', 'spend.maintain()', 'execute'), 'Users may not run maintenance');
select ok(not has_function_privilege('anon', 'spend.maintain()', 'execute'), 'Nobody may run maintenance without signing in');
select ok(not has_table_privilege('authenticated', 'spend.settings', 'select'), 'Users may not read the settings');
select is(
  (select count(*) from pg_extension where extname = 'pg_cron'),
  (select count(*) from spend.maintenance_status() as s where s.maintain_schedule is not null),
  'maintenance_status shows a schedule exactly where pg_cron is installed'
);
select is_empty($$select * from spend.verify_balances() where column_name = 'reserved_usd' and quota_id <> current_setting('test.quota')::bigint and period_start > now() - interval '90 days'$$, 'The balances that nobody damaged hold what the open calls hold');
select * from finish();
rollback;
