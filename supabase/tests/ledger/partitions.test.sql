begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(41);

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
create function pg_temp.book(p_usd numeric, p_at timestamptz, p_ended boolean default true) returns void language sql as $$
  insert into spend.cost_events (tenant_id, occurred_at, booked_xid, kind, resource_type, cost_usd, conversation_id)
  values (
    'aaaaaaaa-0000-4000-8000-000000000001', p_at,
    case when p_ended then '3'::xid8 else pg_current_xact_id() end, 'adjustment', 'llm', p_usd, 'c'
  )
$$;
create function pg_temp.rows_of(p_partition text) returns bigint language plpgsql as $$
declare
  v_rows bigint;
begin
  execute format('select count(*) from spend_private.%I', p_partition) into v_rows;
  return v_rows;
end;
$$;
create function pg_temp.partition(p_month interval) returns text language sql as $$
  select 'cost_events_' || to_char(now() at time zone 'UTC' + p_month, 'YYYY_MM')
$$;

-- Made ahead
select has_table('spend_private', pg_temp.partition('0 months')::name, 'This month has a partition');
select has_table('spend_private', pg_temp.partition('1 month')::name, 'The next month has a partition');
select has_table('spend_private', pg_temp.partition('2 months')::name, 'The month after next has a partition');
select is(spend_private.ensure_partitions(), 0, 'A second run makes no partition');
select pg_temp.book(1, now());
select is(pg_temp.rows_of(pg_temp.partition('0 months')), 1::bigint, 'An event of now goes into this month''s partition');

-- The default partition loses nothing, and gives what it has to the month's partition once that is made.
select pg_temp.book(2, '2031-01-31 23:59:59.999999+00');
select pg_temp.book(4, '2031-02-01 00:00+00');
select pg_temp.book(8, '2031-02-28 23:59:59+00');
select pg_temp.book(16, '2031-03-01 00:00+00');
select is(pg_temp.rows_of('cost_events_default'), 4::bigint, 'Events of months without a partition go into the default partition');
select is(spend_private.ensure_partition('2031-02-01'), true, 'The partition of a month is made although the default partition has its events');
select is(pg_temp.rows_of('cost_events_2031_02'), 2::bigint, 'The month''s two events move into its partition');
select is(pg_temp.rows_of('cost_events_default'), 2::bigint, 'Events of other months stay in the default partition');
select is((select sum(cost_usd) from spend.cost_events), 31::numeric, 'The sum of the ledger is the same after the move');
select is(spend_private.ensure_partitions(), 2, 'Maintenance makes the two partitions whose events the default partition has');
select is(pg_temp.rows_of('cost_events_default'), 0::bigint, 'The default partition is empty afterwards');
select is((select sum(cost_usd) from spend.cost_events), 31::numeric, 'The sum of the ledger is the same after maintenance');
select pg_temp.book(32, '2031-02-14');
select is(pg_temp.rows_of('cost_events_2031_02'), 3::bigint, 'A later event of the month goes into its partition');
select is((select count(distinct id) from spend.cost_events), 6::bigint, 'No two events have the same id');
select is(
  (select count(*) from spend_private.ledger_state as s, lateral spend_private.ensure_partitions('2030-12-31 23:30+00') as e (made) where e.made = 1),
  1::bigint, 'Half an hour before the year ends in UTC, partitions are made for December, January and February'
);

-- Guards of each partition
select is_empty(
  $$select c.relname from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'spend.cost_events'::regclass and not c.relrowsecurity$$,
  'Row-level security is on in every partition'
);
select is_empty(
  $$select c.relname from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'spend.cost_events'::regclass and not exists (
      select from pg_trigger as t where t.tgrelid = c.oid and t.tgname = 'refuse_truncate'
    )$$,
  'Every partition refuses truncate'
);
select throws_ok(c.command, 'PT403', 'append_only', c.command || ' is refused to the owner')
from unnest(array[
  'update spend.cost_events set cost_usd = 0', 'update spend.cost_events set metadata = ''{"a":1}''',
  'delete from spend.cost_events', 'truncate spend.cost_events',
  'update spend_private.cost_events_2031_02 set cost_usd = 0', 'delete from spend_private.cost_events_2031_02',
  'truncate spend_private.cost_events_2031_02', 'truncate spend_private.cost_events_default'
]) as c (command);
select ok(has_table_privilege('service_role', 'spend.cost_events', 'SELECT'), 'service_role may read the ledger');
select is(
  (select string_agg(p, ' ' order by p) from unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) as p
   where has_table_privilege('service_role', 'spend.cost_events', p)),
  null, 'service_role may not write the ledger'
);

-- Retention
update spend_private.ledger_state set rolled_up_before = '0';
select spend_private.ensure_partition(m::date) from generate_series('2030-06-01'::timestamp, '2030-09-01', '1 month') as m;
select pg_temp.book(100, '2030-05-01');
select pg_temp.book(200, '2030-06-15 10:10+00');
select pg_temp.book(400, '2030-06-30 23:59:59+00');
select pg_temp.book(800, '2030-07-01 00:00+00');
select is(spend_private.drop_months(null, '2030-09-10'), 0, 'Without a setting no month is dropped');
select is(spend_private.drop_months(2, '2030-09-10'), 0, 'A month that is not rolled up is not dropped');
select spend_private.roll_up();
select results_eq(
  'select rolled_up_before, kept_from, cluster_id from spend_private.ledger_state', 'select pg_snapshot_xmin(pg_current_snapshot()), ''-infinity''::timestamptz, spend_private.cluster_id()',
  'All events up to the oldest running transaction are rolled up'
);
insert into spend.cost_quotas (tenant_id, scope, resource_type, period, limit_usd)
values ('aaaaaaaa-0000-4000-8000-000000000001', 'tenant', 'llm', 'lifetime', 10000);
select cmp_ok(spend_private.drop_months(2, '2030-09-10'), '>=', 1, 'With two months kept, a run in September drops June, and keeps July and August');
select is((select min(occurred_at) from spend.cost_events), '2030-07-01 00:00+00'::timestamptz, 'Events of the first of July are kept');
select hasnt_table('spend_private', 'cost_events_2030_06', 'June''s partition is gone');
select is((select count(*) from spend.cost_events where occurred_at < '2030-07-01'), 0::bigint, 'May''s events in the default partition are gone');
select is((select sum(cost_usd) from spend.hourly_costs where hour < '2030-07-01' and hour >= '2030-05-01'), 700::numeric, 'Sums by hour of dropped months are kept');
select is(spend_private.do_job('delete_conversations', now(), 3), 3::bigint, 'Sums by conversation of dropped months are deleted three at a time');
select is(spend_private.do_job('delete_conversations', now(), null), 1::bigint, 'The next batch deletes the last one');
select is((select count(*) from spend_private.conversation_rollups where hour < '2030-07-01'), 0::bigint, 'No sum by conversation of a dropped month is left');
select is_empty($$ select * from spend.verify_balances() where quota_id = (select id from spend.cost_quotas where period = 'lifetime') $$, 'A lifetime quota equals the ledger together with the sums of dropped months');
update spend.cost_quotas set period = 'week' where period = 'lifetime';
update spend.cost_quotas set period = 'lifetime' where limit_usd = 10000;
select is((select spent_usd from spend.quota_status where period = 'lifetime'), (select sum(cost_usd) from spend.hourly_costs), 'A lifetime quota that is counted anew has the sums of dropped months in it');
select * from finish();
rollback;
