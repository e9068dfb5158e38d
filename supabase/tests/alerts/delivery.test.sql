begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select no_plan();

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
-- Its llm quota of 100 is used up: a warning and a limit.
select spend_private.record_alerts(
  q, row(q.id, q.scope, q.scope_id, q.resource_type, q.period, q.limit_usd, q.limit_usd, 0, q.limit_usd, 0, 0, 100, null),
  '-infinity', q.tenant_id, now() - interval '1 minute'
)
from spend.cost_quotas as q
where q.tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and q.resource_type = 'llm';
-- Kinds that a claim gets, so many seconds from now, by one channel of the environment.
create function pg_temp.claimed(p_seconds numeric, p_rows integer default 10, p_channels jsonb default '[{"name": "hook", "kind": "webhook"}]')
returns text language sql as $$
  select string_agg(d.alert ->> 'kind', ' ' order by d.delivery_id)
  from spend_private.claim_deliveries(p_channels, p_rows, now() + make_interval(secs => p_seconds::double precision)) as d
$$;
create function pg_temp.id(p_kind text) returns bigint language sql as $$
  select d.id from spend.alert_deliveries as d join spend.alerts as a on a.id = d.alert_id where a.kind = p_kind
$$;
create function pg_temp.state(p_kind text) returns text language sql as $$
  select format(
    '%s attempts, %s, %s', d.attempts,
    case when d.delivered_at is not null then 'delivered' when d.ended_at is not null then 'ended' else 'open' end,
    coalesce(d.last_error, 'no error')
  ) from spend.alert_deliveries as d where d.id = pg_temp.id(p_kind)
$$;
-- Seconds until the next attempt, by a clock that stands p_seconds from now.
create function pg_temp.waits(p_kind text, p_seconds numeric default 0) returns numeric language sql as $$
  select extract(epoch from d.next_attempt_at - now()) - p_seconds from spend.alert_deliveries as d where d.id = pg_temp.id(p_kind)
$$;

select is((select count(*) from spend.alerts where routed_at is null), 2::bigint, 'Two alerts are not handed to channels yet');
select is(pg_temp.claimed(0, 1), 'quota_warning', 'A claim for one delivery gets the oldest');
select is((select count(*) from spend.alerts where routed_at is null), 0::bigint, 'The claim hands both alerts to the channel');
select is(pg_temp.claimed(1), 'quota_exceeded', 'A claimed delivery is not claimed again; the next claim gets the other');
select is(pg_temp.claimed(2), null, 'A third claim finds no delivery');
select is(spend.finish_delivery(pg_temp.id('quota_exceeded')), true, 'A claimed delivery is marked as delivered');
select is(spend.finish_delivery(pg_temp.id('quota_exceeded')), false, 'A delivery cannot be marked as delivered again');
select is(spend.finish_delivery(0), false, 'A delivery that does not exist cannot be finished');
select is((select delivered_at from spend.alerts where kind = 'quota_exceeded'), now(), 'An alert is delivered when its only delivery is');
select is(spend.finish_delivery(pg_temp.id('quota_warning'), 'the webhook answered 500'), true, 'A failed delivery is recorded');
select is(pg_temp.state('quota_warning'), '1 attempts, open, the webhook answered 500', 'A failed delivery keeps the number of attempts and the last error');
select is((select delivered_at from spend.alerts where kind = 'quota_warning'), null, 'An alert is not delivered while a delivery is open');
select is(pg_temp.claimed(29.9), null, 'A failed delivery is not claimed within 30 s');
select is(pg_temp.claimed(36), 'quota_warning', 'A failed delivery is claimed again after 36 s');
select ok(pg_temp.waits('quota_warning', 36) between 60 and 72, 'After its second attempt a delivery waits 60 to 72 s');

-- Backoff
select ok(bool_and(extract(epoch from d.delay) between 30 and 36), 'A thousand first delays are between 30 and 36 s')
from (select spend_private.delivery_delay(0) as delay from generate_series(1, 1000)) as d;
select ok(count(distinct d.delay) > 900, 'They differ: what failed together is not tried together')
from (select spend_private.delivery_delay(0) as delay from generate_series(1, 1000)) as d;
select ok(bool_and(d.delay between interval '4 minutes' and interval '4 minutes 48 seconds'), 'After three failures the delay is 240 to 288 s')
from (select spend_private.delivery_delay(3) as delay from generate_series(1, 100)) as d;
select ok(bool_and(d.delay between interval '5 hours' and interval '6 hours'), 'After sixty failures the delay is 5 to 6 hours')
from (select spend_private.delivery_delay(60) as delay from generate_series(1, 1000)) as d;

-- What the receiver asks for
select spend.finish_delivery(pg_temp.id('quota_warning'), 'the webhook answered 429', 90);
select is(pg_temp.waits('quota_warning'), 90::numeric, 'A receiver that says Retry-After: 90 is tried again after 90 s');
select spend.finish_delivery(pg_temp.id('quota_warning'), 'the webhook answered 503', 1000000);
select is(pg_temp.waits('quota_warning'), 6 * 3600::numeric, 'A receiver that asks for eleven days is tried again after 6 hours');

-- The end
update spend.alert_deliveries set attempts = 11, next_attempt_at = now() where id = pg_temp.id('quota_warning');
select is(pg_temp.claimed(0), 'quota_warning', 'A delivery is tried a twelfth time');
select spend.finish_delivery(pg_temp.id('quota_warning'), 'the webhook answered 500');
select is(pg_temp.state('quota_warning'), '12 attempts, ended, the webhook answered 500', 'After twelve attempts a delivery is given up, and its row stays');
select is(pg_temp.claimed(7 * 3600), null, 'A delivery that was given up is not claimed again');
select is(spend.finish_delivery(pg_temp.id('quota_warning'), 'late'), false, 'A failure after the end changes nothing');
select is((spend.maintenance_status()).given_up_alerts, 1::bigint, 'The status counts a delivery that was given up');
select is((spend_private.maintenance_status(now() + interval '25 hours')).given_up_alerts, 0::bigint, 'A day later it does not');
select is(spend.finish_delivery(pg_temp.id('quota_warning')), true, 'A receiver that accepts it after all is recorded');
select is(pg_temp.state('quota_warning'), '12 attempts, delivered, no error', 'It is delivered, and not ended');
update spend.alert_deliveries set delivered_at = null, attempts = 3, next_attempt_at = now() where id = pg_temp.id('quota_warning');
select pg_temp.claimed(0);
select spend.finish_delivery(pg_temp.id('quota_warning'), 'the webhook answered 410', is_final => true);
select is(pg_temp.state('quota_warning'), '4 attempts, ended, the webhook answered 410', 'A final error ends a delivery at its fourth attempt');
update spend.alert_deliveries set ended_at = null, attempts = 12, next_attempt_at = now(), last_error = null where id = pg_temp.id('quota_warning');
select is(pg_temp.claimed(0), null, 'A delivery whose deliverer died twelve times is not claimed a thirteenth time');
select is(pg_temp.state('quota_warning'), '13 attempts, ended, no attempt said how it ended', 'It is given up');

-- What waits
update spend.alert_deliveries set ended_at = null, is_given_up = false, attempts = 1, next_attempt_at = now() where id = pg_temp.id('quota_warning');
select is((spend.maintenance_status()).undelivered_alerts, 0::bigint, 'A delivery that is new does not count as undelivered');
select is((spend_private.maintenance_status(now() + interval '6 minutes')).undelivered_alerts, 1::bigint, 'One that is open for six minutes does');
select is(spend.health() -> 'given_up_alerts', '0', 'spend.health() says how many were given up');

-- What a deliverer gets
select results_eq(
  $$ select event, idempotency_key, channel, channel_id, channel_kind, tenant_id, target, secret, attempts, alert ->> 'kind', alert -> 'details' ->> 'limit_usd',
       alert ->> 'tenant_name', alert -> 'period_start', alert -> 'threshold'
     from spend.claim_deliveries('[{"name": "hook", "kind": "webhook"}]') $$,
  $$ select 'trigger', 'alert_' || min(id) || '_hook', 'hook', null::bigint, 'webhook', null::uuid, null, null, 2, 'quota_warning', '100', 'A', 'null'::jsonb, '0.800'::jsonb
     from spend.alerts $$,
  'A deliverer gets the alert with its tenant''s name, money as text, and an idempotency key of alert and channel'
);

-- Channels of the environment that are not named any more
update spend.alert_deliveries set next_attempt_at = now() where id = pg_temp.id('quota_warning');
select is(pg_temp.claimed(0, 10, '[]'), null, 'Deliveries to a channel that the environment no longer names are left alone');
select is(pg_temp.claimed(0, 10, '[{"name": "other", "kind": "slack"}]'), null, 'Another channel does not get them');
select is(pg_temp.claimed(0), 'quota_warning', 'Named again, it gets them');
select is(pg_temp.claimed(0, 0), null, 'A claim for none gets none');

-- Bad arguments
select throws_ok(format('select * from spend.claim_deliveries(%L)', c.channels), 'PT422', 'invalid_channel', c.what || ' are refused')
from (values
  ('{"name": "a"}', 'Channels that are no list'),
  ('[{"name": "a"}]', 'Channels without a kind'),
  ('[{"kind": "slack"}]', 'Channels without a name'),
  ('[{"name": "a", "kind": "fax"}]', 'Channels of an unknown kind'),
  ('[{"name": "a", "kind": "slack", "kinds": "quota_warning"}]', 'Kinds that are no list'),
  ('[1]', 'Channels that are no objects')
) as c (channels, what);

select * from finish();
rollback;
