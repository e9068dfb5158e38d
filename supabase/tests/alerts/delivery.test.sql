begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(12);

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
select spend_private.record_alerts(
  q, row(q.id, q.scope, q.scope_id, q.resource_type, q.period, q.limit_usd, q.limit_usd, 0, q.limit_usd, 0, 0, 100, null),
  '-infinity', q.tenant_id, now() - interval '1 minute'
)
from spend.cost_quotas as q
where q.tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and q.resource_type = 'llm';
create function pg_temp.claimed(p_seconds numeric, p_rows integer default 10) returns text language sql as $$
  select string_agg(a.kind, ' ' order by a.id)
  from spend_private.claim_alerts(p_rows, now() + make_interval(secs => p_seconds::double precision)) as a
$$;
create function pg_temp.id(p_kind text) returns bigint language sql as $$
  select id from spend.alerts where kind = p_kind
$$;

select is((select count(*) from spend.alerts), 2::bigint, 'Two alerts wait for delivery');
select is(pg_temp.claimed(0, 1), 'warning', 'A claim for one alert gets the oldest');
select is(pg_temp.claimed(1), 'limit', 'A claimed alert is not claimed again; the next claim gets the other');
select is(pg_temp.claimed(2), null, 'A third claim finds no alert');
select is(spend.finish_alert(pg_temp.id('limit')), true, 'A claimed alert is marked as delivered');
select is(spend.finish_alert(pg_temp.id('limit')), false, 'A delivered alert cannot be marked as delivered again');
select is(spend.finish_alert(pg_temp.id('warning'), 'the webhook answered 500'), true, 'A failed delivery is recorded');
select is(pg_temp.claimed(29), null, 'A failed alert is not claimed within 30 s');
select is(pg_temp.claimed(30), 'warning', 'A failed alert is claimed again after 30 s');
select is(pg_temp.claimed(89), null, 'After its second failure an alert waits another 60 s');
select is(
  (select row(attempts, last_error)::text from spend.alerts where kind = 'warning'),
  '(2,"the webhook answered 500")', 'A failed alert keeps the number of attempts and the last error'
);
update spend.alerts set attempts = 60, next_attempt_at = now();
select is(
  (select next_attempt_at from spend_private.claim_alerts(1)), now() + interval '6 hours', 'An alert that failed 60 times waits 6 hours and no longer'
);

select * from finish();
rollback;
