begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(32);
\ir ../support/signed_in.psql

-- Users: a is a member of Acme, f an operator.
insert into auth.users (id) values ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000f');
insert into spend.operators (user_id) values ('00000000-0000-4000-8000-00000000000f');
delete from spend.plan_quotas;
insert into spend.tenants (id, name, created_at)
select i.id::uuid, i.name, now() - interval '1 year'
from (values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'Acme'), ('bbbbbbbb-0000-4000-8000-000000000002', 'Bolt'),
  ('cccccccc-0000-4000-8000-000000000003', 'Cord')
) as i (id, name);
insert into spend.tenants (name, created_at)
select 'Other ' || lpad(n::text, 4, '0'), now() - interval '1 year' from generate_series(1, 997) as n;
insert into spend.tenant_members (tenant_id, user_id)
values ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a');
insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
select 'tenant', t.id, 'llm', 'month', 1000 from spend.tenants as t where t.name in ('Acme', 'Bolt', 'Cord');

create function pg_temp.adjust(p_name text, p_usd numeric) returns void language sql as $$
  select spend.adjust(t.id, p_usd, 'test') from spend.tenants as t where t.name = p_name
$$;
create function pg_temp.first(p_arguments text) returns text language sql as $$
  select pg_temp.says('f', format(
    'select concat_ws('' '', name, trim_scale(month_usd), trim_scale(worst_percent), total, case as_of when now() then ''now'' end) from spend.fleet(%s)', p_arguments
  ))
$$;
-- So that now is told apart from the time of the survey.
create function pg_temp.survey(p_tenants integer default 2000) returns bigint language plpgsql as $$
declare
  v_tenants bigint := spend_private.survey_spend(p_tenants);
begin
  update spend_private.surveys set surveyed_at = now() - interval '10 minutes' where surveyed_at = now();
  update spend_private.unusual_days set surveyed_at = now() - interval '10 minutes' where surveyed_at = now();
  return v_tenants;
end;
$$;

-- Up to 1,000 tenants
select pg_temp.adjust('Acme', 100);
select is(pg_temp.survey(), 0::bigint, 'Among 1,000 tenants there is nothing to survey');
select is(pg_temp.first('top => 1'), 'Acme 100 10 1000 now', 'The dearest of 1,000 tenants, at once');
select is(
  pg_temp.says('f', 'select utilization_percent from spend.quotas_near_limit(0.1)'), '10.00', 'A quota of 10 % is seen at once'
);

-- More
insert into spend.tenants (name, created_at) values ('Zero', now() - interval '1 year');
select is(
  pg_temp.says('f', 'select string_agg(name, '' '') || count(as_of) from spend.fleet(top => 3)'), 'Acme Bolt Cord0',
  'Before the first survey, 1,001 tenants are listed by name'
);
select is(pg_temp.survey(600), 600::bigint, 'A survey of 600 tenants');
select is(
  pg_temp.says('f', 'select count(*) || '' '' || count(distinct tenant_id) || '' '' || count(as_of) from (select * from spend.fleet(top => 1000) union all select * from spend.fleet(top => 1000, skip => 1000)) as f'),
  '1001 1001 600', 'Every tenant is on one page, surveyed or not'
);
select pg_temp.survey(600);
select is((select count(*) from spend_private.surveys), 1001::bigint, 'The second survey sees all that the first did not');
select is(
  spend.maintain('survey_spend'), '{"survey_spend": 1001}', 'spend.maintain() surveys up to 2,000 tenants'
);
select is(spend.maintain('survey_spend'), '{"survey_spend": 0}', 'Nobody is looked at twice in ten minutes');
update spend_private.surveys set surveyed_at = now() - interval '10 minutes';
select pg_temp.adjust('Bolt', 600);
select is(pg_temp.first('top => 1'), 'Acme 100 10 1001', 'Bolt''s $600 are not seen before the next survey');
select is(
  pg_temp.says('f', 'select count(*) from spend.quotas_near_limit(0.5)'), '0', 'Nor that half of its limit is used'
);
select pg_temp.adjust('Cord', 850);
select is(
  pg_temp.says('f', 'select concat_ws('' '', tenant_name, utilization_percent, trim_scale(spent_usd), trim_scale(limit_usd)) from spend.quotas_near_limit(0.5)'),
  'Cord 85.00 850 1000', 'A quota that reaches its warning threshold is seen at once'
);
select pg_temp.survey();
select is(pg_temp.first('top => 3'), 'Cord 850 85 1001; Bolt 600 60 1001; Acme 100 10 1001', 'After the survey, the dearest come first');
select pg_temp.adjust('Acme', 1);
select is(
  pg_temp.first('order_by => ''utilization'', top => 3'), 'Cord 850 85 1001; Bolt 600 60 1001; Acme 101 10.1 1001',
  'The fullest quotas come first, with present figures'
);
select is(
  pg_temp.first('order_by => ''name'', top => 1, skip => 1000'), 'Zero 0 1001 now', 'By name, the last page needs no survey'
);
select is(
  pg_temp.first('''o'', ''utilization'', 2'), 'Cord 850 85 1000 now; Bolt 600 60 1000 now',
  'A search that finds no more than 1,000 looks at what it finds'
);
select is(
  pg_temp.says('f', 'select concat_ws('' '', tenant_name, utilization_percent) from spend.quotas_near_limit(0.5)'),
  'Cord 85.00; Bolt 60.00', 'After the survey, a quota that is half used is near from 50 % on'
);
select pg_temp.adjust('Bolt', -200);
select is(
  pg_temp.says('f', 'select concat_ws('' '', tenant_name, utilization_percent) from spend.quotas_near_limit(0.5)'), 'Cord 85.00',
  'A quota that no longer is does not wait for the next survey'
);
select is(
  pg_temp.says('a', 'select utilization_percent from spend.quotas_near_limit(0.1)'), '10.10', 'A member''s quotas are of now'
);

-- Unusual days: Acme spends $10 to $12 a day and $101 today, half of it by its member.
insert into spend.cost_events (kind, tenant_id, occurred_at, user_id, resource_type, cost_usd)
select 'adjustment', 'aaaaaaaa-0000-4000-8000-000000000001', date_trunc('day', now(), 'UTC') - make_interval(days => d), u.id, 'llm', (10 + d % 3) / 2.0
from generate_series(1, 40) as d, (values (null), ('00000000-0000-4000-8000-00000000000a'::uuid)) as u (id);
create function pg_temp.unusual(p_user text, p_arguments text) returns text language sql as $$
  select pg_temp.says(p_user, format(
    'select concat_ws('' '', (now() at time zone ''UTC'')::date - day, trim_scale(cost_usd), trim_scale(usual_usd), trim_scale(threshold_usd), total, case as_of when now() then ''now'' end) from spend.unusual_spend(%s)',
    p_arguments
  ))
$$;
select is(pg_temp.unusual('f', 'tenant_id => ''aaaaaaaa-0000-4000-8000-000000000001'''), '0 101 11 16.9304 1 now', 'Of one tenant, an unusual day is found at once');
select ok(
  (select array_agg(t.name) = '{Acme,Bolt,Cord}' from (select distinct t.name from spend_private.unusual_days as u join spend.tenants as t on t.id = u.tenant_id order by 1) as t),
  'First spends are unusual, and Acme''s was before its history was known'
);
select pg_temp.survey();
select is(
  pg_temp.unusual('f', ''), '0 850 0 0 3; 0 400 0 0 3; 0 101 11 16.9304 3', 'After the survey, the dearest unusual days of all come first'
);
select is(pg_temp.unusual('f', 'top => 1, skip => 2'), '0 101 11 16.9304 3', 'The third page of one');
select is(pg_temp.unusual('f', 'at_least_usd => 500'), '0 850 0 0 1', 'Those of $500 and more');
select is(
  pg_temp.unusual('f', 'factor => ' || f.factor || ', skip => 2'),
  replace(replace(pg_temp.unusual('f', 'tenant_id => ''aaaaaaaa-0000-4000-8000-000000000001'', factor => ' || f.factor), ' 1 now', ' 3'), ' now', ''),
  format('A factor of %s finds in the survey what it finds in the ledger', f.factor)
)
from (values (3), (8), (60)) as f (factor);
select is(pg_temp.unusual('f', 'factor => 70'), '0 850 0 0 2; 0 400 0 0 2', 'At a factor of 70, $101 do not stand out');
select is(pg_temp.unusual('f', 'factor => 2, top => 1'), '0 850 0 0 3 now', 'A factor of 2 reads the ledger');
select is(pg_temp.unusual('a', ''), null, 'A member''s own spend has no unusual day');
select pg_temp.adjust('Acme', -90);
select pg_temp.survey();
select is(pg_temp.unusual('f', 'top => 9'), '0 850 0 0 2; 0 400 0 0 2', 'A credit takes a day back');
delete from spend.tenants where name = 'Zero';
insert into spend.tenants (name) values ('New');
select pg_temp.survey();
select results_eq(
  'select t.name from spend_private.surveys as s full join spend.tenants as t on t.id = s.tenant_id where s.tenant_id is null or t.id is null or t.name = ''New''',
  array['New'], 'The survey of a deleted tenant goes, and a new one''s comes'
);
select * from finish();
rollback;
