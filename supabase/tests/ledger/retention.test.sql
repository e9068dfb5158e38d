begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(51);
\ir ../support/test_model.psql

insert into spend.tenants (id, name, created_at) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A', now() - interval '1 year'), ('bbbbbbbb-0000-4000-8000-000000000002', 'B', now() - interval '1 year'),
  ('cccccccc-0000-4000-8000-000000000003', 'C', now() - interval '1 year');
create function pg_temp.days_ago(p_days numeric) returns timestamptz language sql as $$
  -- From midnight on: retention counts days of UTC.
  select date_trunc('day', now(), 'UTC') - p_days * interval '1 day'
$$;
create function pg_temp.reserve(p_days_ago numeric, p_usd numeric default 1, p_tenant text default 'a', p_key text default null)
returns uuid language sql as $$
  select (spend_private.reserve(
    case p_tenant when 'a' then 'aaaaaaaa-0000-4000-8000-000000000001' when 'b' then 'bbbbbbbb-0000-4000-8000-000000000002' else 'cccccccc-0000-4000-8000-000000000003' end::uuid,
    null, 'llm', pg_temp.usage(p_usd), p_idempotency_key => p_key, p_now => pg_temp.days_ago(p_days_ago)
  )).reservation_id
$$;
create temporary table call (name text primary key, id uuid);
create function pg_temp.call(p_name text) returns uuid language sql as $$ select id from call where name = p_name $$;
create function pg_temp.left_over() returns text language sql as $$
  select string_agg(c.name, ', ' order by c.name) from call as c join spend.reservations as r on r.id = c.id
$$;

-- Reservations
insert into call values
  ('100 days, settled', pg_temp.reserve(100, p_key => 'old')), ('100 days, released', pg_temp.reserve(100)),
  ('100 days, expired', pg_temp.reserve(100)), ('100 days, held', pg_temp.reserve(100)),
  ('100 days, settled late', pg_temp.reserve(100)), ('100 days, of a context', pg_temp.reserve(100)),
  ('90 days and a bit, settled', pg_temp.reserve(90.001)), ('90 days, settled', pg_temp.reserve(90)),
  ('yesterday, settled', pg_temp.reserve(1)), ('100 days, of B', pg_temp.reserve(100, p_tenant => 'b')),
  ('100 days, of C', pg_temp.reserve(100, p_tenant => 'c'));
select spend_private.settle(c.id, pg_temp.usage(0.5), p_now => r.created_at + interval '1 minute')
from call as c join spend.reservations as r on r.id = c.id where c.name like '%, settled' or c.name like '%of B' or c.name like '%of C';
select spend_private.release(pg_temp.call('100 days, released'), p_now => pg_temp.days_ago(99.9));
update spend.reservations set expires_at = now() + interval '1 day' where id = pg_temp.call('100 days, held');
select spend_private.expire_reservations(100, pg_temp.days_ago(99));
select spend_private.settle(pg_temp.call('100 days, settled late'), pg_temp.usage(2), p_now => pg_temp.days_ago(1));
insert into spend.execution_contexts (
  tenant_id, id, conversation_id, task, template, vcpus, memory_gib, timeout_seconds, status, reservation_id,
  claim_id, claimed_at, claim_expires_at, ended_at, booked_at, sandbox_id, paused_at
)
select 'aaaaaaaa-0000-4000-8000-000000000001', c.id, c.name, 'sandbox', 't', 1, 1, 1, c.status,
  coalesce(pg_temp.call(c.call), gen_random_uuid()), gen_random_uuid(), pg_temp.days_ago(101), pg_temp.days_ago(100),
  case when c.status <> 'paused' then pg_temp.days_ago(c.days) end, case when c.is_booked then pg_temp.days_ago(c.days) end,
  case when c.status = 'paused' then 's' end, case when c.status = 'paused' then pg_temp.days_ago(c.days) end
from (values
  ('10000000-0000-4000-8000-000000000001'::uuid, 'open cost', 'failed', '100 days, of a context', 100, false),
  ('10000000-0000-4000-8000-000000000002', 'old', 'terminated', null, 91, true),
  ('10000000-0000-4000-8000-000000000003', 'fresh', 'terminated', null, 88, true),
  ('10000000-0000-4000-8000-000000000004', 'paused', 'paused', null, 100, true)
) as c (id, name, status, call, days, is_booked);
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger before retention');
create temporary table report as select * from spend.cost_report('{tenant,product}', from_day => '-infinity');

select is((spend.settle(pg_temp.call('100 days, settled'), null)).cost_usd, 0.5, 'A call of 100 days ago still answers what it cost');
select is(spend.maintain('delete_reservations'), '{"delete_reservations": 6}', 'Six reservations that ended more than 90 days ago are deleted');
select is(
  pg_temp.left_over(),
  '100 days, held, 100 days, of a context, 100 days, settled late, 90 days, settled, yesterday, settled',
  'Reservations are kept that are held, belong to an unpaid sandbox, settled since or are younger'
);
select is((select reservations_kept_from from spend_private.ledger_state), pg_temp.days_ago(90), 'The ledger knows from when on reservations are kept');
select is_empty('select * from spend.verify_balances()', 'verify_balances does not miss the deleted reservations');
select results_eq(
  $$select * from spend.cost_report('{tenant,product}', from_day => '-infinity') order by tenant_id$$, 'select * from report order by tenant_id', 'Reports are the same after retention'
);
select throws_ok(
  $$select spend.settle(pg_temp.call('90 days and a bit, settled'), null)$$, 'PT404', 'unknown_reservation', 'Settling a deleted reservation fails as unknown'
);
select throws_ok(
  $$select spend.release(pg_temp.call('100 days, released'))$$, 'PT404', 'unknown_reservation', 'Releasing a deleted reservation fails as unknown'
);
select is(
  (select replayed from spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(0.01), idempotency_key => 'old')), false,
  'The idempotency key of a deleted reservation is new again'
);
select is(spend.maintain('delete_reservations'), '{"delete_reservations": 0}', 'A second run deletes no reservation');
select spend_private.settle(pg_temp.call('100 days, of a context'), pg_temp.usage(1), p_now => now());
update spend.execution_contexts set booked_at = now() where conversation_id = 'open cost';
select is(spend_private.run_job('delete_reservations', now() + interval '88 days'), 1::bigint, '88 days later the call of 90 days ago is deleted, and that of yesterday is kept');
select is(
  pg_temp.left_over(), '100 days, held, 100 days, of a context, 100 days, settled late, yesterday, settled', 'Calls that settled late are kept from their end on'
);
select is(spend_private.run_job('delete_reservations', now() + interval '92 days'), 3::bigint, '92 days later the calls that settled late are deleted too');
select is(pg_temp.left_over(), '100 days, held', 'A reservation that is held is never deleted');
select is_empty(
  $$select * from spend.verify_balances() where column_name not in ('period_start', 'slots', 'allotted_usd')$$, 'The balances equal the ledger after retention'
);
delete from spend.reservations where status <> 'held';

-- In steps
create function pg_temp.make(p_tenant text, p_count integer) returns void language sql as $$
  select spend_private.settle(pg_temp.reserve(50, 0.01, p_tenant), pg_temp.usage(0.01), p_now => pg_temp.days_ago(50)) from generate_series(1, p_count)
$$;
select pg_temp.make('a', 5), pg_temp.make('b', 2), pg_temp.make('c', 5);
select is(spend_private.run_job('delete_reservations', now() + interval '100 days', 4), 4::bigint, 'A batch of four deletes four of twelve reservations');
select is(spend_private.run_job('delete_reservations', now() + interval '100 days', 4), 4::bigint, 'The next batch deletes four more');
select is(spend_private.run_job('delete_reservations', now() + interval '100 days', 5), 4::bigint, 'The last batch deletes the rest');
select is((select next_page from spend_private.job_runs where job = 'delete_reservations'), 0::bigint, 'After the last page the next run begins at the first');
select pg_temp.make('a', 40), pg_temp.make('b', 40);
create temporary table step (place integer, deleted bigint, page bigint);
do $$
begin
  for v_i in 1..100 loop
    insert into step values (
      v_i, spend_private.run_job('delete_reservations', now() + interval '100 days', 3),
      (select r.next_page from spend_private.job_runs as r where r.job = 'delete_reservations')
    );
    exit when not exists (select from spend.reservations as r where r.status <> 'held');
  end loop;
end;
$$;
select is((select sum(deleted) from step), 80::numeric, 'Batches of three delete all eighty in the end');
select is((select max(deleted) from step), 3::bigint, 'No batch deletes more than three');
select cmp_ok((select max(page) from step), '>', 2::bigint, 'The deleted reservations lay on many pages');
select pg_temp.make('a', 60);
select is(
  (
    select string_agg(d.next_page::text, ' ' order by p.page)
    from generate_series(0, 3) as p (page)
    cross join lateral spend_private.delete_reservations_in(p.page, 1, now() - interval '200 days', 100) as d
  ),
  '1 2 3 4', 'Pages with nothing to delete are passed over'
);
select is((select next_page from spend_private.delete_reservations_in(1000000, 10, '-infinity', 10)), 0::bigint, 'A run that begins behind the last page ends at the first');
select is((select count(*) from spend.reservations where status = 'settled'), 60::bigint, 'Younger reservations are still there');
delete from spend.reservations where status = 'settled';

-- A reservation that somebody deleted by hand is still found.
update spend_private.ledger_state set reservations_kept_from = pg_temp.days_ago(40);
select spend_private.settle(pg_temp.reserve(5, 0.01), pg_temp.usage(0.01));
delete from spend.reservations where status = 'settled';
select is((select count(*) from spend.verify_balances() where column_name = 'reservation_id' and ledger_usd = 0.01), 1::bigint, 'A reservation deleted by hand is found while it should be kept');

-- What only the roll-ups know still keeps prices from changing what was billed.
insert into spend_private.cost_rollups (tenant_id, hour, resource_type, provider, product, task, cost_usd, calls)
values ('bbbbbbbb-0000-4000-8000-000000000002', pg_temp.days_ago(95), 'llm', 'test', 'gone', 'chat', 1, 1);
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, first_used_at)
values ('llm', 'test', 'gone', 'input_tokens', 1, '2020-01-01', '2020-01-01');
create function pg_temp.price(p_days_ago numeric, p_tenant text default null) returns void language sql as $$
  insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, tenant_id)
  select 'llm', 'test', 'gone', 'input_tokens', 5, pg_temp.days_ago(p_days_ago), (select t.id from spend.tenants as t where t.name = p_tenant)
$$;
select throws_ok('select pg_temp.price(96)', 'PT409', 'price_would_rewrite_history', 'No price takes effect before calls whose reservations are deleted');
select throws_ok($$select pg_temp.price(96, 'B')$$, 'PT409', 'price_would_rewrite_history', 'No price of the tenant takes effect before them either');
select lives_ok($$select pg_temp.price(96, 'C')$$, 'A price of a tenant without such calls may take effect before them');
select lives_ok('select pg_temp.price(94)', 'A price may take effect after them');

-- Contexts
select is(spend.maintain('delete_contexts'), '{"delete_contexts": 2}', 'Contexts that ended 91 and 100 days ago are deleted');
select is((select string_agg(conversation_id, ' ' order by conversation_id) from spend.execution_contexts), 'fresh paused', 'Contexts that are paused or ended 88 days ago are kept');
update spend.execution_contexts set booked_at = null, ended_at = pg_temp.days_ago(100), status = 'failed' where conversation_id = 'fresh';
select is(spend.maintain('delete_contexts'), '{"delete_contexts": 0}', 'A context whose cost is not booked is kept');

-- Keys of adjustments
select spend_private.adjust('aaaaaaaa-0000-4000-8000-000000000001', 1, 'credit', p_idempotency_key => 'old', p_now => pg_temp.days_ago(91));
select spend_private.adjust('aaaaaaaa-0000-4000-8000-000000000001', 1, 'credit', p_idempotency_key => 'fresh', p_now => pg_temp.days_ago(88));
select is(spend.maintain('delete_adjustment_keys'), '{"delete_adjustment_keys": 1}', 'The idempotency key of an adjustment of 91 days ago is deleted');
select is((select string_agg(idempotency_key, ' ') from spend_private.adjustments), 'fresh', 'The key of an adjustment of 88 days ago is kept');
select is((select sum(cost_usd) from spend.cost_events where kind = 'adjustment'), 2::numeric, 'What the adjustments booked stays in the ledger');

-- Strays
insert into spend_private.stray_sandboxes values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'old', pg_temp.days_ago(91)), ('aaaaaaaa-0000-4000-8000-000000000001', 'fresh', pg_temp.days_ago(88));
select is(spend.maintain('delete_strays'), '{"delete_strays": 1}', 'A stray sandbox of 91 days ago is deleted');
select is((select string_agg(sandbox_id, ' ') from spend_private.stray_sandboxes), 'fresh', 'A stray sandbox of 88 days ago is kept');

-- The audit log
set local session_replication_role = replica;
update spend.audit_log set changed_at = now() - case id % 2 when 0 then interval '401 days' else interval '399 days' end;
set local session_replication_role = origin;
create temporary table old_log as select count(*) as rows from spend.audit_log where changed_at < now() - interval '400 days';
select isnt((select rows from old_log), 0::bigint, 'The audit log has rows of 401 days ago');
select is(
  spend.maintain('delete_audit') ->> 'delete_audit', (select rows::text from old_log),
  'Rows of the audit log of 401 days ago are deleted'
);
select is((select count(*) from spend.audit_log where changed_at < now() - interval '400 days'), 0::bigint, 'No row of the audit log of 401 days ago is left');
select isnt((select count(*) from spend.audit_log), 0::bigint, 'Rows of the audit log of 399 days ago are kept');
select throws_ok('delete from spend.audit_log', 'PT403', 'append_only', 'Nobody but retention deletes from the audit log');
set local spend.retention = 'on';
set local role service_role;
select throws_ok('delete from spend.audit_log', '42501', null, 'service_role cannot delete from the audit log even with the setting that retention uses');
select throws_ok('delete from spend.cost_events', '42501', null, 'service_role cannot delete from the ledger with it either');
reset role;
set local spend.retention = 'off';

-- Settings
update spend.settings set keep_audit_days = 30, keep_reservation_days = 20;
select pg_temp.make('a', 2);
select is(spend_private.run_job('delete_reservations', now() + interval '1 day'), 2::bigint, 'With 20 days kept, calls of 50 days ago are deleted');
select isnt(spend.maintain('delete_audit') ->> 'delete_audit', '0', 'With 30 days kept, older rows of the audit log are deleted');

-- What pg_cron logs
drop extension if exists pg_cron cascade;
drop schema if exists cron cascade;
select is(spend.maintain('delete_cron_runs'), '{"delete_cron_runs": 0}', 'Without pg_cron there are no runs to delete');
create schema cron;
create table cron.job (jobid bigint, jobname text, schedule text, command text, database text default current_database(), active boolean default true);
create table cron.job_run_details (jobid bigint, runid bigint, start_time timestamptz);
insert into cron.job (jobid, jobname) values (1, 'spend-maintain'), (2, 'theirs');
insert into cron.job_run_details values (1, 1, now() - interval '8 days'), (2, 2, now() - interval '8 days'), (1, 3, now());
select is(spend.maintain('delete_cron_runs'), '{"delete_cron_runs": 1}', 'Runs that pg_cron logged more than a week ago are deleted');
select is((select string_agg(runid::text, ' ' order by runid) from cron.job_run_details), '2 3', 'Runs of other jobs are kept');
select * from finish();
rollback;
