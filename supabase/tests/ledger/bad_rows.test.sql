begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
set local client_min_messages = error;
select plan(38);

-- Three tenants, a price, and holds whose time is over; a hold or a balance is damaged by hand.
insert into spend.plans (id, name) values ('bare', 'Without quotas');
insert into spend.tenants (id, name, plan_id)
select ('aaaaaaa' || n || '-0000-4000-8000-00000000000' || n)::uuid, 'T' || n, 'bare' from generate_series(1, 3) as n;
insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
select 'tenant', t.id, 'llm', 'lifetime', 1000 from spend.tenants as t;
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 2, '2020-01-01');
create function pg_temp.tenant(p_n integer) returns uuid language sql as $$
  select ('aaaaaaa' || p_n || '-0000-4000-8000-00000000000' || p_n)::uuid
$$;
create function pg_temp.hold(p_n integer, p_usd numeric, p_ago interval default '1 hour') returns uuid language sql as $$
  select (spend_private.reserve(
    pg_temp.tenant(p_n), null, 'llm',
    jsonb_build_object('provider', 'test', 'model', 'model', 'input_tokens', (p_usd * 1000000)::bigint, 'output_tokens', 0),
    p_now => now() - p_ago
  )).reservation_id
$$;
create function pg_temp.open_problems(p_job text) returns bigint language sql as $$
  select count(*) from spend.problems where job = p_job and resolved_at is null
$$;
create function pg_temp.held() returns bigint language sql as $$
  select count(*) from spend.reservations where status = 'held'
$$;

-- Expiry: a balance that holds less than its reservations say fails the check reserved_is_not_negative.
select pg_temp.hold(1, 1, make_interval(mins => 60 + n)) from generate_series(1, 20) as n;
select pg_temp.hold(2, 1, make_interval(mins => 30 + n)) from generate_series(1, 20) as n;
create temporary table damage as
select b.quota_id, b.slot, b.reserved_usd from spend_private.quota_balances as b
join spend.cost_quotas as q on q.id = b.quota_id where q.tenant_id = pg_temp.tenant(1) and b.reserved_usd > 0;
update spend_private.quota_balances as b set reserved_usd = 0 from damage as d where b.quota_id = d.quota_id and b.slot = d.slot;
select is(spend.expire_reservations(100), 20, 'Of 40 overdue reservations the 20 on a damaged balance fail, and the other 20 expire');
select is(pg_temp.held(), 20::bigint, 'The 20 that fail stay held');
select is(pg_temp.open_problems('expire_reservations'), 20::bigint, 'Each reservation that fails opens a problem');
select is(
  (select distinct p.details ->> 'constraint' from spend.problems as p), 'reserved_is_not_negative', 'The problem names the constraint that failed'
);
select is((select count(*) from spend.alerts where kind = 'job_failed'), 20::bigint, 'Each reservation that fails records an alert');
select is(spend.expire_reservations(100), 0, 'A reservation that has just failed is not tried again at once');
select pg_temp.hold(3, 1, '20 minutes') from generate_series(1, 5);
select is(spend.expire_reservations(5), 5, 'Reservations that fail do not block a batch of 5 behind them');
select is(spend_private.expire_reservations(5, now() + interval '2 minutes'), 0, 'After a minute the first 5 are tried, and fail again');
select is((select max(times) from spend.problems), 2::bigint, 'A second failure counts in the problem');
select is((select count(*) from spend.alerts where kind = 'job_failed'), 20::bigint, 'A second failure records no second alert');
select spend_private.expire_reservations(5, now() + interval '2 minutes 1 second') from generate_series(1, 3);
select is((select count(*) from spend.problems where times = 2), 20::bigint, 'Each failing reservation is tried again in its turn');
update spend_private.quota_balances as b set reserved_usd = d.reserved_usd from damage as d where b.quota_id = d.quota_id and b.slot = d.slot;
update spend.problems set retry_at = now();
select is(spend.expire_reservations(100), 20, 'All 20 expire once the balance is repaired');
select spend.expire_reservations(100);
select is(pg_temp.open_problems('expire_reservations'), 0::bigint, 'Their problems are resolved');
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after the repair');

-- One reservation alone, in the middle of a batch
select pg_temp.hold(2, 2);
select pg_temp.hold(2, 1) from generate_series(1, 50);
alter table spend.cost_events add constraint poison check (cost_usd <> 2);
select is(spend.expire_reservations(100), 50, 'One reservation of a batch of 51 fails, and 50 expire');
select is((select details ->> 'reservation_id' from spend.problems where resolved_at is null), (select id::text from spend.reservations where status = 'held'), 'The problem names the reservation that failed');
alter table spend.cost_events drop constraint poison;
select spend.release(r.id) from spend.reservations as r where r.status = 'held';
select spend.expire_reservations(1);
select is(pg_temp.open_problems('expire_reservations'), 0::bigint, 'A problem is resolved when its reservation is released by hand');
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after the release');

-- Roll-ups: events of one transaction for one tenant cannot be counted.
select spend_private.roll_up();
insert into spend.cost_events (tenant_id, occurred_at, booked_xid, kind, resource_type, cost_usd, task)
select pg_temp.tenant(n % 3 + 1), now(), x.xid, 'adjustment', 'llm', 1, case n when 7 then 'poison' when 10 then 'poison' else 'chat' end
from generate_series(1, 30) as n, (select rolled_up_before as xid from spend_private.ledger_state) as x;
update spend_private.ledger_state set rolled_up_before = (rolled_up_before::text::numeric - 1)::text::xid8;
set local session_replication_role = replica;
update spend.cost_events set booked_xid = (select rolled_up_before from spend_private.ledger_state) where kind = 'adjustment';
set local session_replication_role = origin;
create function pg_temp.reported() returns numeric language sql as $$ select sum(cost_usd) from spend.hourly_costs $$;
create temporary table booked as select sum(cost_usd) as usd from spend.cost_events;
select is(pg_temp.reported(), (select usd from booked), '30 events of three tenants are reported before they are rolled up');
alter table spend_private.cost_rollups add constraint poison check (task is distinct from 'poison');
select is(spend_private.roll_up(), 20::bigint, '10 events of one tenant cannot be rolled up, and the other 20 are');
select is(pg_temp.open_problems('roll_up'), 1::bigint, 'Events that cannot be rolled up open a problem');
select is(spend_private.roll_up(), 0::bigint, 'The next run passes over them');
update spend.settings set keep_event_months = 2;
select is(spend_private.drop_months(2, now() + interval '12 months'), 0, 'Retention drops no month while events cannot be rolled up');
select is(spend_private.roll_up(p_now => now() + interval '2 minutes'), 0::bigint, 'A run after two minutes fails on them again');
alter table spend_private.cost_rollups drop constraint poison;
select is(spend_private.roll_up(p_now => now() + interval '1 hour'), 10::bigint, 'They are rolled up once the table is repaired');
select is(pg_temp.open_problems('roll_up'), 0::bigint, 'Their problem is resolved');
select is(pg_temp.reported(), (select usd from booked), 'All 30 events are reported, each once');

-- Alerts that were missed
update spend_private.quota_balances set spent_usd = spent_usd + 2000, is_below_threshold = false where slot = 0;
alter table spend.alerts add constraint poison check (tenant_id is distinct from 'aaaaaaa2-0000-4000-8000-000000000002');
select is(spend_private.record_missed_alerts(), 4::bigint, 'Three tenants are over their limits, and the alerts of one cannot be recorded');
select is(pg_temp.open_problems('record_alerts'), 1::bigint, 'Alerts that cannot be recorded open a problem');
select is(spend_private.record_missed_alerts(), 0::bigint, 'Alerts that cannot be recorded are not tried again at once');
alter table spend.alerts drop constraint poison;
select is(spend_private.record_missed_alerts(now() + interval '1 hour'), 2::bigint, 'They are recorded once the table is repaired');
select is(pg_temp.open_problems('record_alerts'), 0::bigint, 'Their problem is resolved');

-- A job that fails as a whole
create function pg_temp.break() returns trigger language plpgsql as 'begin raise exception ''broken''; end';
create trigger break before delete on spend_private.refusals for each statement execute function pg_temp.break();
select is(spend.maintain() -> 'delete_refusals', 'null', 'maintain answers null for a job that fails');
select is((select message from spend.problems where job = 'delete_refusals' and subject = 'job' and resolved_at is null), 'broken', 'A job that fails opens a problem with its error');
drop trigger break on spend_private.refusals;
select is(spend.maintain('delete_refusals'), '{"delete_refusals": 0}', 'maintain runs one job alone');
select is(pg_temp.open_problems('delete_refusals'), 0::bigint, 'The problem of a job is resolved when it works again');
select throws_ok('select spend.maintain(''other'')', '22023', 'unknown_job', 'maintain refuses a job that does not exist');
select is(
  (select array_agg(k order by k) from jsonb_object_keys(spend.maintain()) as k),
  (select array_agg(j.job order by j.job collate "default") from spend.maintenance_jobs() as j), 'maintain answers for every job'
);
select * from finish();
rollback;
