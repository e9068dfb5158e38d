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
select has_table('spend_private', pg_temp.partition('0 months')::name, 'this month has a partition');
select has_table('spend_private', pg_temp.partition('1 month')::name, 'the next one has');
select has_table('spend_private', pg_temp.partition('2 months')::name, 'and the one after');
select is(spend_private.ensure_partitions(), 0, 'a second time there is nothing to make');
select pg_temp.book(1, now());
select is(pg_temp.rows_of(pg_temp.partition('0 months')), 1::bigint, 'events go there');

-- The default partition loses nothing, and gives what it has to the month's partition once that is made.
select pg_temp.book(2, '2031-01-31 23:59:59.999999+00');
select pg_temp.book(4, '2031-02-01 00:00+00');
select pg_temp.book(8, '2031-02-28 23:59:59+00');
select pg_temp.book(16, '2031-03-01 00:00+00');
select is(pg_temp.rows_of('cost_events_default'), 4::bigint, 'events of months without a partition are kept in the default one');
select is(spend_private.ensure_partition('2031-02-01'), true, 'making the partition of such a month does not fail');
select is(pg_temp.rows_of('cost_events_2031_02'), 2::bigint, 'its two events are moved there');
select is(pg_temp.rows_of('cost_events_default'), 2::bigint, 'the others stay');
select is((select sum(cost_usd) from spend.cost_events), 31::numeric, 'the ledger is what it was');
select is(spend_private.ensure_partitions(), 2, 'maintenance makes the partitions that the default one has events of');
select is(pg_temp.rows_of('cost_events_default'), 0::bigint, 'which is empty then');
select is((select sum(cost_usd) from spend.cost_events), 31::numeric, 'the ledger is what it was');
select pg_temp.book(32, '2031-02-14');
select is(pg_temp.rows_of('cost_events_2031_02'), 3::bigint, 'and goes on');
select is((select count(distinct id) from spend.cost_events), 6::bigint, 'ids stay apart');
select is(
  (select count(*) from spend_private.ledger_state as s, lateral spend_private.ensure_partitions('2030-12-31 23:30+00') as e (made) where e.made = 1),
  1::bigint, 'the last half hour of December, UTC: December, January and February, of which two are there'
);

-- Guards of each partition
select is_empty(
  $$select c.relname from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'spend.cost_events'::regclass and not c.relrowsecurity$$,
  'row-level security is on in every partition'
);
select is_empty(
  $$select c.relname from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'spend.cost_events'::regclass and not exists (
      select from pg_trigger as t where t.tgrelid = c.oid and t.tgname = 'refuse_truncate'
    )$$,
  'every partition refuses truncate'
);
select throws_ok(c.command, 'PT403', 'append_only', c.command || ' is refused to the owner')
from unnest(array[
  'update spend.cost_events set cost_usd = 0', 'update spend.cost_events set metadata = ''{"a":1}''',
  'delete from spend.cost_events', 'truncate spend.cost_events',
  'update spend_private.cost_events_2031_02 set cost_usd = 0', 'delete from spend_private.cost_events_2031_02',
  'truncate spend_private.cost_events_2031_02', 'truncate spend_private.cost_events_default'
]) as c (command);
select ok(has_table_privilege('service_role', 'spend.cost_events', 'SELECT'), 'service_role reads the ledger');
select is(
  (select string_agg(p, ' ' order by p) from unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) as p
   where has_table_privilege('service_role', 'spend.cost_events', p)),
  null, 'and may not write it'
);

-- Retention
update spend_private.ledger_state set rolled_up_before = '0';
select spend_private.ensure_partition(m::date) from generate_series('2030-06-01'::timestamp, '2030-09-01', '1 month') as m;
select pg_temp.book(100, '2030-05-01');
select pg_temp.book(200, '2030-06-15 10:10+00');
select pg_temp.book(400, '2030-06-30 23:59:59+00');
select pg_temp.book(800, '2030-07-01 00:00+00');
select is(spend_private.drop_months(null, '2030-09-10'), 0, 'by default everything is kept');
select is(spend_private.drop_months(2, '2030-09-10'), 0, 'what is not rolled up is not dropped');
select spend_private.roll_up();
select results_eq(
  'select rolled_up_before, kept_from, cluster_id from spend_private.ledger_state', 'select pg_snapshot_xmin(pg_current_snapshot()), ''-infinity''::timestamptz, spend_private.cluster_id()',
  'all is rolled up'
);
insert into spend.cost_quotas (tenant_id, scope, resource_type, period, limit_usd)
values ('aaaaaaaa-0000-4000-8000-000000000001', 'tenant', 'llm', 'lifetime', 10000);
select cmp_ok(spend_private.drop_months(2, '2030-09-10'), '>=', 1, 'in September two full months are kept: July and August; June is dropped');
select is((select min(occurred_at) from spend.cost_events), '2030-07-01 00:00+00'::timestamptz, 'the first of July is there');
select hasnt_table('spend_private', 'cost_events_2030_06', 'June''s partition is not');
select is((select count(*) from spend.cost_events where occurred_at < '2030-07-01'), 0::bigint, 'nor is May''s in the default partition');
select is((select sum(cost_usd) from spend.hourly_costs where hour < '2030-07-01' and hour >= '2030-05-01'), 700::numeric, 'their sums by hour are');
select is(spend_private.do_job('delete_conversations', now(), 3), 3::bigint, 'those by conversation go three at a time');
select is(spend_private.do_job('delete_conversations', now(), null), 1::bigint, 'to the last');
select is((select count(*) from spend_private.conversation_rollups where hour < '2030-07-01'), 0::bigint, 'and none is left');
select is_empty($$ select * from spend.verify_balances() where quota_id = (select id from spend.cost_quotas where period = 'lifetime') $$, 'a lifetime quota still equals the ledger, of which the sums are a part');
update spend.cost_quotas set period = 'week' where period = 'lifetime';
update spend.cost_quotas set period = 'lifetime' where limit_usd = 10000;
select is((select spent_usd from spend.quota_status where period = 'lifetime'), (select sum(cost_usd) from spend.hourly_costs), 'also when it is counted anew');
select * from finish();
rollback;
