begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select no_plan();
\ir ../support/alerts_world.psql

-- The columns: what is written, and what stands there then.
create function pg_temp.written(p_id bigint, p_set text) returns text language plpgsql as $$
begin
  execute format('update spend.cost_quotas set %s where id = %s', p_set, p_id);
  return (select format('%s: %s', warning_threshold, warning_thresholds) from spend.cost_quotas where id = p_id);
exception
  when others then
    return format('%s %s', sqlstate, sqlerrm);
end;
$$;
create temporary table q as select pg_temp.quota('A', 100, 'week', '{0.9,0.5,0.9,0.80049}') as id;
select is(
  (select format('%s: %s', warning_threshold, warning_thresholds) from spend.cost_quotas as c join q on q.id = c.id),
  '0.500: {0.500,0.800,0.900}', 'Thresholds of 0.9, 0.5, 0.9 and 0.80049 are kept as 0.5, 0.8 and 0.9, and the lowest is the warning threshold'
);
select is(pg_temp.written(q.id, c.written), c.kept, format('Setting %s keeps %s', c.written, c.kept))
from q, (values
  (1, 'limit_usd = 99', '0.500: {0.500,0.800,0.900}'),
  (2, 'warning_threshold = 0.6', '0.600: {0.600,0.800,0.900}'),
  (3, 'warning_threshold = 0.8', '0.800: {0.800,0.900}'),
  (4, 'warning_threshold = 0.2', '0.200: {0.200,0.900}'),
  (5, 'warning_threshold = 1', '1.000: {1.000}'),
  (6, 'warning_thresholds = ''{0.95,0.8}''', '0.800: {0.800,0.950}'),
  (7, 'warning_thresholds = ''{0.7}'', warning_threshold = 0.3', '0.700: {0.700}'),
  (8, 'warning_thresholds = null', '0.700: {0.700}'),
  (9, 'warning_thresholds = ''{}''', '22023 invalid_quota'),
  (10, 'warning_thresholds = ''{0.8,80}''', '22023 invalid_quota'),
  (11, 'warning_thresholds = ''{0}''', '22023 invalid_quota'),
  (12, 'warning_thresholds = ''{0.8,NaN}''', '22023 invalid_quota'),
  (13, 'warning_thresholds = ''{0.8,null}''', '22023 invalid_quota'),
  (14, 'warning_thresholds = ''{0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,0.95,1}''', '22023 invalid_quota'),
  (15, 'warning_threshold = 80', '22023 invalid_quota'),
  (16, 'warning_threshold = null, warning_thresholds = null', '22023 invalid_quota'),
  (17, 'warning_thresholds = ''{0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1}''', '0.100: {0.100,0.200,0.300,0.400,0.500,0.600,0.700,0.800,0.900,1.000}')
) as c (place, written, kept);
insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, warning_threshold)
values ('tenant', pg_temp.tenant('A'), 'e2b', 'week', 1, 0.7), ('tenant', pg_temp.tenant('A'), 'e2b', 'day', 1, default);
select throws_ok(
  format('insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, warning_thresholds) values (''tenant'', %L, ''e2b'', ''hour'', 1, ''{}'')', pg_temp.tenant('A')),
  '22023', 'invalid_quota', 'A new quota with an empty list is refused'
);
select results_eq(
  $$ select warning_thresholds from spend.cost_quotas where resource_type = 'e2b' order by period desc $$,
  $$ values ('{0.7}'::numeric[]), ('{0.8}') $$, 'Without thresholds a quota has its warning threshold alone, 0.8 if that is not given either'
);
select is(
  (select count(*) from spend.quota_status as s join spend.cost_quotas as c on c.id = s.quota_id where s.warning_thresholds = c.warning_thresholds),
  3::bigint, 'quota_status shows the thresholds of all three quotas'
);

-- By functions
select is(pg_temp.says('e', format('select (spend.change_quota(%s, warning_thresholds => ''{0.95,0.8}'')).warning_thresholds', q.id)), '{0.800,0.950}', 'An operator changes them')
from q;
select is(pg_temp.says('e', format('select (spend.change_quota(%s, limit_usd => 50)).warning_thresholds', q.id)), '{0.800,0.950}', 'They stay when the limit alone is changed')
from q;
select is(
  pg_temp.says('e', $$ select (spend.change_plan_quota('bare', 'user', 'llm', 'day', 5, '{0.5,0.9}')).warning_thresholds $$),
  '{0.500,0.900}', 'An operator gives a plan two thresholds'
);
select results_eq(
  $$ select distinct warning_thresholds, source from spend.cost_quotas where scope = 'user' $$,
  $$ values ('{0.5,0.9}'::numeric[], 'plan') $$, 'The quotas of its tenants'' members have them, and follow the plan'
);
select pg_temp.says('e', $$ select spend.change_plan_quota('bare', 'user', 'llm', 'day', 6) $$);
update spend.plan_quotas set warning_threshold = 0.6 where plan_id = 'bare';
select results_eq(
  $$ select distinct warning_thresholds, warning_threshold, limit_usd, source from spend.cost_quotas where scope = 'user' $$,
  $$ values ('{0.6,0.9}'::numeric[], 0.6, 6::numeric, 'plan') $$, 'They follow another limit and another lowest threshold, and keep the rest'
);
select is(
  pg_temp.says('a', format(
    'select count(*) from (select spend.set_user_quota(%L, %L, ''llm'', ''day'', 4, warning_thresholds => ''{0.75,0.99}'')) as s',
    pg_temp.tenant('A'), '00000000-0000-4000-8000-00000000000c'
  )), '1', 'An owner sets them for a member'
);
select is(
  (select row(warning_thresholds, source)::text from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c'),
  '("{0.750,0.990}",manual)', 'The member''s quota has them, and is set by hand'
);
select is(
  pg_temp.does('a', $$ update spend.cost_quotas set warning_thresholds = '{0.4}' where scope_id = '00000000-0000-4000-8000-00000000000c' $$),
  '1 rows', 'An owner writes them as a column, too'
);
select is(
  pg_temp.does('c', $$ update spend.cost_quotas set warning_thresholds = '{1}' where scope_id = '00000000-0000-4000-8000-00000000000c' $$),
  '0 rows', 'The member does not'
);
delete from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c';
select is(
  (select row(warning_thresholds, source)::text from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c'),
  '("{0.600,0.900}",plan)', 'When the limit by hand is deleted, the plan''s thresholds come back'
);

-- Alerts at each
delete from spend.cost_quotas;
select pg_temp.quota('A', 100, 'day', '{0.5,0.8,0.95}');
select pg_temp.spend('A', 49);
select is(pg_temp.alerts('A'), null, '49 of 100 record no alert');
select pg_temp.spend('A', 1);
select is(pg_temp.alerts('A'), 'quota_warning at 0.5: 50 of 100', '50 of 100 record the first');
select pg_temp.spend('A', 29);
select is(pg_temp.alerts('A'), 'quota_warning at 0.5: 50 of 100', '79 of 100 record nothing more');
select pg_temp.spend('A', 17);
select is(
  pg_temp.alerts('A'), 'quota_warning at 0.5: 50 of 100, quota_warning at 0.8: 96 of 100, quota_warning at 0.95: 96 of 100',
  'One call to 96 of 100 crosses two more, and records both, the lower first'
);
select pg_temp.spend('A', 4);
select is(
  (select string_agg(trim_scale(threshold)::text, ' ' order by id) from spend.alerts where tenant_id = pg_temp.tenant('A') and kind = 'quota_exceeded'),
  '1', '100 of 100 record that the limit is reached'
);
select is((select count(*) from spend.alerts), 4::bigint, 'Four alerts in all');
select spend_private.record_missed_alerts();
select is((select count(*) from spend.alerts), 4::bigint, 'Maintenance finds none that is missing');
select spend.adjust(pg_temp.tenant('A'), -30, 'credit');
select pg_temp.spend('A', 15);
select is(
  (select string_agg(trim_scale(threshold)::text, ' ' order by id) from spend.alerts where id > (select min(id) + 3 from spend.alerts)), '0.8',
  'A credit to 70 and spend to 85 record the alert at 80 percent again, and no other'
);

-- A threshold of 1 is the limit
select pg_temp.quota('B', 10, 'day', '{0.8,1}');
select pg_temp.spend('B', 10);
select is(
  pg_temp.alerts('B'), 'quota_warning at 0.8: 10 of 10, quota_exceeded at 1: 10 of 10',
  'At the limit a threshold of 1 records that the limit is reached, once'
);
select spend_private.record_missed_alerts();
select is((select count(*) from spend.alerts where tenant_id = pg_temp.tenant('B')), 2::bigint, 'Maintenance adds no warning at 1');

-- What calls missed, as if several slots had crossed together
delete from spend.alerts;
select is(spend_private.record_missed_alerts(p_max_rows => 1), 1::bigint, 'Maintenance records one missing alert at a time where it is told to');
select spend_private.record_missed_alerts();
select is(
  (select string_agg(t.name || ' ' || a.kind || ' ' || trim_scale(a.threshold), ', ' order by a.id) from spend.alerts as a join spend.tenants as t on t.id = a.tenant_id),
  'A quota_warning 0.5, A quota_warning 0.8, B quota_warning 0.8, B quota_exceeded 1', 'Then the others, each threshold once'
);
select is(spend_private.record_missed_alerts(), 0::bigint, 'Then none');
update spend.cost_quotas set warning_thresholds = '{0.5,0.82}' where tenant_id = pg_temp.tenant('A');
select is(spend_private.record_missed_alerts(), 1::bigint, 'A threshold that is set below what is spent is recorded by maintenance');

select * from finish();
rollback;
