begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select no_plan();
\ir ../support/alerts_world.psql

-- What functions report
create function pg_temp.report(p_kind text, p_tenant text, p_subject text, p_message text default 'It failed.', p_details jsonb default '{}')
returns boolean language sql as $$
  select spend.report_failure(p_kind, pg_temp.tenant(p_tenant), p_subject, p_message, p_details)
$$;
select is(pg_temp.report('settle_failed', 'A', 'chat', 'Settling failed.', '{"sqlstate": "55P03"}'), true, 'A failure is recorded');
select is(pg_temp.report('settle_failed', 'A', 'chat'), false, 'The same subject is not recorded again within the hour');
select is(pg_temp.report('settle_failed', 'B', 'chat'), true, 'Another tenant''s is');
select is(pg_temp.report('settle_failed', 'A', 'openai'), true, 'Another subject is');
select is(pg_temp.report('price_missing', 'A', 'chat'), true, 'Another kind is');
select is(pg_temp.report('price_missing', null, 'chat'), true, 'One of no tenant is');
select is(pg_temp.report('price_missing', null, 'chat'), false, 'Once, too');
select results_eq(
  $$ select kind, facts, period_start, quota_id, limit_usd from spend.alerts order by id limit 1 $$,
  $$ values ('settle_failed', '{"message": "Settling failed.", "subject": "chat", "details": {"sqlstate": "55P03"}}'::jsonb, date_trunc('hour', now(), 'UTC'), null::bigint, null::numeric) $$,
  'Its facts have message, subject and details'
);
select ok(
  spend_private.record_subject_alert('settle_failed', pg_temp.tenant('A'), 'chat', date_trunc('hour', now(), 'UTC') + interval '1 hour', 'm', '{}'),
  'In the next hour it is recorded again'
);
select throws_ok(c.call, '22023', 'invalid_failure', c.what || ' is refused')
from (values
  ($$ select spend.report_failure('quota_warning', null, 's', 'm') $$, 'A kind that is not for reporting'),
  ($$ select spend.report_failure('job_failed', null, 's', 'm') $$, 'A kind of the database'),
  ($$ select spend.report_failure(null, null, 's', 'm') $$, 'No kind'),
  ($$ select spend.report_failure('settle_failed', null, ' ', 'm') $$, 'An empty subject'),
  ($$ select spend.report_failure('settle_failed', null, 's', null) $$, 'No message'),
  ($$ select spend.report_failure('settle_failed', null, 's', 'm', '[]') $$, 'A list of details')
) as c (call, what);
delete from spend.alerts;
select is(
  (select count(*) from generate_series(1, 30) as n where pg_temp.report('price_missing', 'A', 'model ' || n)), 20::bigint,
  'Of thirty models that a tenant names within an hour, twenty are recorded'
);
select ok(pg_temp.report('price_missing', 'B', 'model'), 'Another tenant''s still is');
insert into spend.tenants (name, plan_id) select 't' || n, 'bare' from generate_series(1, 100) as n;
select is(
  (select count(*) from generate_series(1, 100) as n where pg_temp.report('price_missing', 't' || n, 'model')), 79::bigint,
  'Of all tenants a hundred within an hour'
);
select pg_temp.report('settle_failed', null, repeat('s', 900), repeat('m', 5000));
select is((select length(facts ->> 'message') from spend.alerts where kind = 'settle_failed'), 2000, 'A message of 5,000 characters is cut at 2,000');

-- Reservations that expire in bulk
delete from spend.alerts;
delete from spend.tenants where name like 't%';
select spend_private.reserve(pg_temp.tenant(t.name), null, 'llm', pg_temp.usage(0.5), p_now => now() - interval '1 hour')
from (values ('A', 10), ('B', 9)) as t (name, calls), generate_series(1, t.calls);
select is(spend.expire_reservations(6) + spend.expire_reservations(100), 19, 'Ten calls of A and nine of B expire, in two batches');
select is(spend_private.find_expiries(10), 1::bigint, 'Ten of a tenant within an hour record an alert, nine of another none');
select is(spend_private.find_expiries(10), 0::bigint, 'Once');
select is(
  (select facts from spend.alerts where tenant_id = pg_temp.tenant('A')),
  jsonb_build_object(
    'message', '10 calls were not settled in time within an hour. They were charged at their estimates, $5.',
    'subject', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24":00Z"'), 'details', jsonb_build_object('reservations', 10, 'usd', '5')
  ), 'It says how many, and what was charged'
);
select is(pg_temp.alerts('B'), null, 'B has none');
select is(spend_private.find_expiries(9, now() + interval '2 hours'), 0::bigint, 'Those of two hours ago are not looked at');
update spend.settings set expired_alert_count = 9;
select is(spend.maintain(job => 'find_expiries') ->> 'find_expiries', '1', 'With a setting of nine, maintenance finds those of B');
select spend_private.find_expiries(9, now() + interval '26 hours');
select is_empty('select from spend_private.expiries', 'What a batch counted is deleted after a day');

-- A stray sandbox
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
select 'e2b', 'e2b', 'stray-template', m, 1000, '2020-01-01' from unnest(array['vcpu_seconds', 'gib_seconds']) as m;
delete from spend.alerts;
select is(spend.book_stray_sandbox(pg_temp.tenant('A'), 'sb1', 'stray-template', 2, 1, now() - interval '100 seconds'), 0.3, 'A stray sandbox is charged');
select is(pg_temp.alerts('A'), 'sandbox_orphaned sb1', 'It records an alert');
select is((select facts -> 'details' ->> 'cost_usd' from spend.alerts), '0.3', 'The alert says what it cost, as text');
update spend_private.stray_sandboxes set paid_until = now() - interval '10 seconds';
select isnt(spend.book_stray_sandbox(pg_temp.tenant('A'), 'sb1', 'stray-template', 2, 1, now() - interval '100 seconds'), 0::numeric, 'Its next seconds are charged too');
select is((select count(*) from spend.alerts), 1::bigint, 'And record no second alert');

-- Forecasts. A spends a dollar an hour for seven days.
delete from spend.alerts;
delete from spend.cost_quotas;
create function pg_temp.spent(p_tenant text, p_usd numeric, p_at timestamptz) returns void language sql as $$
  insert into spend_private.cost_rollups (tenant_id, hour, resource_type, provider, product, task, cost_usd, calls)
  values (pg_temp.tenant(p_tenant), date_trunc('hour', p_at, 'UTC'), 'llm', 'test', 'model', 'chat', p_usd, 1)
  on conflict on constraint one_rollup_per_hour do update set cost_usd = cost_rollups.cost_usd + excluded.cost_usd
$$;
-- The middle of a month and of a week, so that no run meets the end of a period.
create temporary table clock as select '2026-09-16 12:30+00'::timestamptz as t;
select pg_temp.spent('A', 1, date_trunc('hour', t, 'UTC') - make_interval(hours => n)) from clock, generate_series(1, 168) as n;
select pg_temp.spent('B', 1, date_trunc('hour', t, 'UTC') - make_interval(hours => n)) from clock, generate_series(1, 20) as n;
create temporary table quotas (name text, id bigint, spent numeric);
insert into quotas
select 'tight', pg_temp.quota('A', 170, 'week'), 60 union all
select 'wide', pg_temp.quota('A', 171, 'month'), 60 union all
select 'exceeded', pg_temp.quota('A', 50, 'day'), 60 union all
select 'lifetime', pg_temp.quota('A', 61, 'lifetime'), 60 union all
select 'young', pg_temp.quota('B', 21, 'month'), 20;
-- The platform's, in September: 168 + 20 in seven days.
insert into quotas select 'platform', pg_temp.quota(null, 200, 'week'), 188;
insert into spend_private.quota_balances (quota_id, period_start, slot, tenant_id, period_end, allotted_usd, spent_usd)
select q.id, lower(b.bounds), 0, coalesce(q.tenant_id, '00000000-0000-0000-0000-000000000000'), upper(b.bounds), 0, n.spent
from quotas as n
join spend.cost_quotas as q on q.id = n.id
cross join clock as c
cross join lateral (select spend_private.quota_bounds(q, c.t) as bounds) as b
on conflict (quota_id, period_start, slot, tenant_id) do update set spent_usd = excluded.spent_usd;
update spend.cost_quotas set limit_usd = 400 where id = (select id from quotas where name = 'wide');
-- Until Monday 00:00 UTC it is 107.5 hours, until 1 October 347.5.
select is(spend_private.forecast_quotas(500, t), 2::bigint, 'Two tenants are looked at') from clock;
select results_eq(
  $$ select q.name, a.facts ->> 'expected_usd', a.facts ->> 'method', trim_scale(a.threshold), trim_scale((a.details).spent_usd)
     from spend.alerts as a join quotas as q on q.id = a.quota_id where a.kind = 'forecast_exceeded' order by 1 $$,
  $$ values ('platform', '308.297619047619', 'rate_of_last_7_days', 1::numeric, 188::numeric), ('wide', '407.5', 'rate_of_last_7_days', 1, 60) $$,
  'A quota that will have spent 407.5 of 400 has a forecast, as the platform''s has; one that is exceeded, one without a period, one that will stay below, and one of a tenant without a day of history have none'
);
select is((select a.facts ->> 'exhausted_at' from spend.alerts as a join quotas as q on q.id = a.quota_id where q.name = 'wide')::timestamptz, t + interval '340 hours', 'It says when the limit will be reached')
from clock;
select is(spend_private.forecast_quotas(500, t), 0::bigint, 'Within the hour nobody is looked at again') from clock;
select is(spend_private.forecast_quotas(1, t + interval '1 hour'), 1::bigint, 'In the next hour one of two tenants, with a batch of one') from clock;
select is(spend_private.forecast_quotas(1, t + interval '1 hour'), 1::bigint, 'Then the other') from clock;
select is(spend_private.forecast_quotas(1, t + interval '1 hour'), 0::bigint, 'Then none') from clock;
select is((select count(*) from spend.alerts), 2::bigint, 'A forecast is recorded once in its period');
update spend.cost_quotas set limit_usd = 395 where id = (select id from quotas where name = 'wide');
select spend_private.forecast_quotas(500, t + interval '2 hours') from clock;
select is((select count(*) from spend.alerts as a join quotas as q on q.id = a.quota_id where q.name = 'wide'), 2::bigint, 'Another limit that will be exceeded is forecast again');
-- The same as the report, at its own clock.
delete from spend.alerts;
select is(
  (select count(*) from (
    select f.quota_id, f.expected_usd, (
      select round(b.spent_usd + r.rate * extract(epoch from b.period_end - now()) / 3600, 12)
      from spend_private.quota_balances as b, (select sum(h.cost_usd) / 168 as rate from spend.hourly_costs as h
        where h.tenant_id = pg_temp.tenant('A') and h.hour >= date_trunc('hour', now(), 'UTC') - interval '7 days' and h.hour < date_trunc('hour', now(), 'UTC')) as r
      where b.quota_id = f.quota_id and b.period_start <= now() and b.period_end > now() limit 1
    ) as ours
    from spend.quota_forecast(pg_temp.tenant('A')) as f where f.expected_usd is not null
  ) as c where c.expected_usd is distinct from c.ours), 0::bigint, 'spend.quota_forecast has the same formula'
);

-- Days that stand out
delete from spend.alerts;
delete from spend_private.tenant_rounds;
select pg_temp.spent('A', 20, now() - make_interval(days => n)) from generate_series(1, 28) as n;
select pg_temp.spent('B', 20, now() - make_interval(days => n)) from generate_series(0, 28) as n;
select pg_temp.spent('A', 100, now());
select is(spend_private.find_unusual_spend(200), 2::bigint, 'Two tenants are looked at for days that stand out');
select is(
  (select string_agg(t.name || ' ' || a.kind || ' ' || a.subject, ', ') from spend.alerts as a join spend.tenants as t on t.id = a.tenant_id),
  'A unusual_spend ' || (now() at time zone 'UTC')::date, 'A day of more than 100 dollars of A, which spends 20 a day, records an alert; one of 24.5 of B does not'
);
select is(
  (select facts -> 'details' from spend.alerts),
  (select jsonb_build_object('day', d.day, 'cost_usd', trim_scale(d.cost_usd)::text, 'usual_usd', '20', 'threshold_usd', '28')
   from spend.unusual_spend(pg_temp.tenant('A'), days => 2) as d),
  'It says what the day cost, and what is usual, as text'
);
select spend_private.find_unusual_spend(200, now() + interval '1 hour');
select is((select count(*) from spend.alerts), 1::bigint, 'A day is recorded once');

-- All of it by maintenance
select is(
  (select count(*) from spend.maintenance_jobs() as j where j.job in ('find_expiries', 'forecast_quotas', 'find_unusual_spend', 'delete_mutes')),
  4::bigint, 'Maintenance has a job for each'
);
select is_empty($$ select from spend.problems $$, 'No job has failed');

select * from finish();
rollback;
