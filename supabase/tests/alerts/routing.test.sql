begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select no_plan();
\ir ../support/alerts_world.psql

create function pg_temp.channel(p_tenant text, p_name text, p_more text default '') returns bigint language plpgsql as $$
declare
  v_id bigint;
begin
  execute format(
    'select (spend.save_alert_channel(tenant_id => %L, kind => ''webhook'', name => %L, target => ''https://example.com'' %s)).id',
    pg_temp.tenant(p_tenant), p_name, p_more
  ) into v_id;
  return v_id;
end;
$$;
-- What each channel gets, at a moment: name, event and kind.
create function pg_temp.sent(p_seconds numeric default 0, p_channels jsonb default '[]') returns text language sql as $$
  select string_agg(format('%s %s%s', d.channel, case d.event when 'resolve' then 'resolves ' else '' end, d.alert ->> 'kind'), ', ' order by d.channel, d.delivery_id)
  from spend_private.claim_deliveries(p_channels, 100, now() + make_interval(secs => p_seconds::double precision)) as d
$$;
-- All that is open is delivered, at a moment.
create function pg_temp.deliver(p_seconds numeric default 0) returns void language sql as $$
  select spend_private.finish_delivery(d.id, p_now => now() + make_interval(secs => p_seconds::double precision))
  from spend.alert_deliveries as d where d.delivered_at is null and d.ended_at is null
$$;
create function pg_temp.alert(p_kind text, p_tenant text, p_subject text, p_seconds numeric default 0) returns boolean language sql as $$
  select spend_private.record_subject_alert(
    p_kind, pg_temp.tenant(p_tenant), p_subject, date_trunc('hour', now()) + make_interval(secs => p_seconds::double precision), 'Message.', '{}',
    now() + make_interval(secs => p_seconds::double precision)
  )
$$;
create function pg_temp.reset() returns void language sql as $$
  delete from spend.alerts;
  delete from spend.alert_channels;
  delete from spend.alert_mutes;
$$;

-- Whose
select pg_temp.channel('A', 'of A'), pg_temp.channel('B', 'of B'), pg_temp.channel(null, 'platform');
select pg_temp.quota('A', 10, 'month'), pg_temp.quota(null, 100, 'month');
select pg_temp.spend('A', 8);
select is(
  pg_temp.sent(0, '[{"name": "env", "kind": "slack"}]'), 'env quota_warning, of A quota_warning, platform quota_warning',
  'A warning of A goes to A''s channel, the platform''s and the environment''s, and not to B''s'
);
select is(pg_temp.sent(0, '[{"name": "env", "kind": "slack"}]'), null, 'Once');
select is(pg_temp.sent(0, '[{"name": "late", "kind": "slack"}]'), null, 'A channel that comes later does not get what was before');
select results_eq(
  $$ select d.idempotency_key, d.tenant_id, d.target, d.secret from spend_private.claim_deliveries('[]', 10, now() + interval '37 seconds') as d
     where d.channel = 'of A' $$,
  $$ select format('alert_%s_%s', a.id, c.id), pg_temp.tenant('A'), 'https://example.com', null from spend.alerts as a, spend.alert_channels as c where c.name = 'of A' $$,
  'A row''s delivery has its target, its tenant, and its id in the key'
);
delete from spend.alerts;
select pg_temp.alert(k.kind, 'A', 's') from unnest(array['unusual_spend', 'reservations_expired', 'settle_failed', 'sandbox_orphaned', 'price_missing']) as k (kind);
select spend_private.record_problem('verify', 'balances', 'They differ.');
insert into spend.alerts (quota_id, period_start, kind, threshold, details)
select q.id, now(), 'quota_exceeded', 1, spend_private.quota_details(q, now(), 0) from spend.cost_quotas as q where q.scope = 'platform';
select is(
  pg_temp.sent(),
  'of A unusual_spend, of A reservations_expired, platform unusual_spend, platform reservations_expired, platform settle_failed, platform sandbox_orphaned, platform price_missing, platform verification_failed, platform quota_exceeded',
  'A tenant''s channel gets what is about its spend; what is about the operation, or the platform''s quotas, goes to the platform alone'
);
select is(pg_temp.says('a', 'select distinct a.kind from spend.alerts as a order by 1'), 'reservations_expired; unusual_spend', 'Its owner reads the same two');
select is(pg_temp.says('f', 'select count(*) from spend.alerts as a'), '7', 'An operator reads all seven');
select is(pg_temp.says('a', 'select count(*) from spend.alert_deliveries as a'), '2', 'The owner reads the deliveries to the tenant''s channel');
select is(pg_temp.says('c', 'select count(*) from spend.alert_deliveries as a'), '0', 'A member reads none');
select is(pg_temp.says('d', 'select count(*) from spend.alert_deliveries as a'), '0', 'The owner of another tenant reads none');
select is(pg_temp.says('f', 'select count(*) from spend.alert_deliveries as a'), '9', 'An operator reads all nine');

-- Filters
select pg_temp.reset();
select pg_temp.channel(null, 'all', ', kinds => ''{}'''), pg_temp.channel(null, 'limits', ', kinds => ''{quota_exceeded}'''), pg_temp.channel(null, 'tenants', ', scopes => ''{tenant}'''),
  pg_temp.channel(null, 'operators', ', scopes => ''{operator}'''), pg_temp.channel(null, 'platform', ', scopes => ''{platform}'', kinds => ''{quota_warning}'''), pg_temp.channel(null, 'off', ', is_enabled => false');
insert into spend.alerts (tenant_id, quota_id, period_start, kind, threshold, details)
select q.tenant_id, q.id, now(), 'quota_exceeded', 1, spend_private.quota_details(q, now(), 0) from spend.cost_quotas as q;
select pg_temp.alert('unusual_spend', 'A', 'day'), pg_temp.alert('price_missing', 'A', 'model');
select is(
  pg_temp.sent(),
  'all quota_exceeded, all quota_exceeded, all unusual_spend, all price_missing, limits quota_exceeded, limits quota_exceeded, operators price_missing, tenants quota_exceeded, tenants unusual_spend',
  'Each channel gets its kinds and scopes'
);
select is(
  (select string_agg(d.channel || ' ' || (d.alert ->> 'kind'), ', ') from spend_private.claim_deliveries(
    '[{"name": "x", "kind": "email", "kinds": ["price_missing"], "scopes": null}]', 100, now() + interval '1 minute') as d where d.channel = 'x'),
  null, 'A channel of the environment gets nothing that was handed over before'
);
select pg_temp.alert('price_missing', 'B', 'model'), pg_temp.alert('settle_failed', 'B', 'chat');
select is(
  (select string_agg(d.channel || ' ' || (d.alert ->> 'kind'), ', ') from spend.claim_deliveries(
    '[{"name": "x", "kind": "email", "kinds": ["price_missing"], "scopes": null}, {"name": "y", "kind": "email", "kinds": [], "scopes": ["tenant"]}]') as d where d.channel in ('x', 'y')),
  'x price_missing', 'A channel of the environment has kinds and scopes, too'
);
select pg_temp.reset();
select pg_temp.alert('unusual_spend', 'A', 'day');
select is(pg_temp.sent(), null, 'An alert that no channel takes is sent nowhere');
select isnt((select routed_at from spend.alerts), null, 'And is not looked at again');
select is((select delivered_at from spend.alerts), null, 'It is not delivered');

select pg_temp.channel('A', 'hook');
select pg_temp.alert('unusual_spend', 'A', 'old day', -604801), pg_temp.alert('unusual_spend', 'A', 'late day', -604799);
select is(
  (select string_agg(d.alert ->> 'subject', ' ') from spend.claim_deliveries() as d), 'late day', 'An alert that nobody handed over for seven days is not news any more'
);

-- A channel that is disabled
select pg_temp.reset();
select pg_temp.channel('A', 'hook');
select pg_temp.alert('unusual_spend', 'A', 'day');
select is(pg_temp.sent(), 'hook unusual_spend', 'A channel gets an alert');
select pg_temp.channel('A', 'hook', ', is_enabled => false');
select is(pg_temp.sent(60), null, 'Disabled, it is not tried again');
select is((select last_error from spend.alert_deliveries where ended_at is not null and not is_given_up), 'the channel was disabled', 'The delivery says why');

-- Quiet
select pg_temp.reset();
select pg_temp.channel('A', 'hour'), pg_temp.channel('A', 'always', ', quiet_minutes => 0'), pg_temp.channel('A', 'minutes', ', quiet_minutes => 5');
select pg_temp.alert('unusual_spend', 'A', 'day');
select is(pg_temp.sent(), 'always unusual_spend, hour unusual_spend, minutes unusual_spend', 'Three channels get an alert');
select pg_temp.deliver(0);
select pg_temp.alert('unusual_spend', 'A', 'day', 299);
select is(pg_temp.sent(299), 'always unusual_spend', 'After 299 s the same again goes to the channel that is never quiet');
select pg_temp.deliver(299);
select pg_temp.alert('unusual_spend', 'A', 'day', 301);
select is(pg_temp.sent(301), 'always unusual_spend, minutes unusual_spend', 'After 301 s also to the one that is quiet for five minutes');
select pg_temp.deliver(301);
select pg_temp.alert('unusual_spend', 'A', 'another day', 302), pg_temp.alert('reservations_expired', 'A', 'day', 302);
select is(
  pg_temp.sent(302), 'always unusual_spend, always reservations_expired, hour unusual_spend, hour reservations_expired, minutes unusual_spend, minutes reservations_expired',
  'Another subject and another kind go to all'
);
select pg_temp.deliver(302);
select pg_temp.alert('unusual_spend', 'A', 'day', 3601);
select is(pg_temp.sent(3601), 'always unusual_spend, hour unusual_spend, minutes unusual_spend', 'After an hour the same goes to all again');
update spend.alert_deliveries set delivered_at = null, ended_at = now(), is_given_up = true where channel = 'hour';
select pg_temp.alert('unusual_spend', 'A', 'day', 3602);
select is(pg_temp.sent(3602), 'always unusual_spend, hour unusual_spend', 'What was given up was not told: it does not make the channel quiet');
select pg_temp.reset();
delete from spend.cost_quotas;
select pg_temp.channel('A', 'hour');
-- 8 are spent already.
select pg_temp.quota('A', 100, 'month', '{0.1,0.13}');
select pg_temp.spend('A', 2);
select is(pg_temp.sent(), 'hour quota_warning', 'A threshold of a quota');
select pg_temp.spend('A', 3);
select is(pg_temp.sent(), 'hour quota_warning', 'and the next one are not the same');
update spend.cost_quotas set limit_usd = 110;
select pg_temp.spend('A', 2);
select is(pg_temp.sent(), null, 'The first two again, of a raised limit, are');

-- Mutes
select is(pg_temp.says(w.usr, format('select (spend.mute_alerts(now() + interval ''1 hour'', tenant_id => %L)).kind is null', pg_temp.tenant(w.tenant))), w.answer, w.what)
from (values
  ('a', 'A', 'true', 'An owner mutes'), ('b', 'A', 'true', 'An admin mutes'), ('c', 'A', 'PT403 not_an_admin', 'A member does not'),
  ('d', 'A', 'PT403 not_an_admin', 'The owner of another tenant does not'), ('f', 'A', 'PT403 not_an_operator', 'An operator who views does not'),
  ('e', 'A', 'true', 'One who edits does'), ('a', null, 'PT403 not_an_operator', 'An owner does not mute the platform'), ('e', null, 'true', 'An operator who edits does')
) as w (usr, tenant, answer, what);
select is(pg_temp.says('a', 'select count(*) from spend.alert_mutes'), '3', 'An owner sees the tenant''s three mutes');
select is(pg_temp.says('c', 'select count(*) from spend.alert_mutes'), '0', 'A member none');
select is(pg_temp.says('f', 'select count(*) from spend.alert_mutes'), '4', 'An operator all four');
create function pg_temp.unmute(p_user text, p_tenant text) returns text language sql as $$
  select pg_temp.says(p_user, format('select spend.unmute_alerts(%s)', (select min(m.id) from spend.alert_mutes as m where m.tenant_id is not distinct from pg_temp.tenant(p_tenant))))
$$;
select is(pg_temp.unmute('c', 'A'), 'false', 'A member unmutes nothing');
select is(pg_temp.unmute('d', 'A'), 'false', 'The owner of another tenant unmutes nothing');
select is(pg_temp.unmute('a', null), 'false', 'An owner does not unmute the platform');
select is(pg_temp.unmute('f', 'A'), 'PT403 not_an_operator', 'An operator who views does not');
select is(pg_temp.unmute('b', 'A'), 'true', 'An admin does');
select is(pg_temp.unmute('e', null), 'true', 'An operator who edits does');
select throws_ok('select spend.mute_alerts(' || c.arguments || ')', 'PT422', 'invalid_mute', 'Refused: mute_alerts(' || c.arguments || ')')
from unnest(array[
  'now()', 'now() - interval ''1 hour''', 'now() + interval ''2 years''', '''infinity''', 'null', 'now() + interval ''1 hour'', kind => ''note''', 'now() + interval ''1 hour'', quota_id => 0',
  'now() + interval ''1 hour'', tenant_id => gen_random_uuid()', 'now() + interval ''1 hour'', tenant_id => pg_temp.tenant(''B''), quota_id => (select min(id) from spend.cost_quotas)'
]) as c (arguments);
select pg_temp.reset();
select pg_temp.channel('A', 'of A', ', quiet_minutes => 0'), pg_temp.channel('B', 'of B', ', quiet_minutes => 0'), pg_temp.channel(null, 'platform', ', quiet_minutes => 0');
select spend.mute_alerts(now() + interval '1 hour', pg_temp.tenant('A'));
select pg_temp.alert('unusual_spend', 'A', 'day'), pg_temp.alert('unusual_spend', 'B', 'day');
select is(pg_temp.sent(), 'of B unusual_spend, platform unusual_spend, platform unusual_spend', 'A mute of A silences A''s channels, and neither B''s nor the platform''s');
select is((select count(*) from spend.alerts where tenant_id = pg_temp.tenant('A')), 1::bigint, 'The alert is recorded');
select pg_temp.alert('unusual_spend', 'A', 'day', 3599);
select is(pg_temp.sent(3700), 'of B unusual_spend, platform unusual_spend, platform unusual_spend, platform unusual_spend', 'One that came before the end is silent also when it is looked at later');
select pg_temp.deliver();
select pg_temp.alert('unusual_spend', 'A', 'day', 3601);
select is(pg_temp.sent(3701), 'of A unusual_spend, platform unusual_spend', 'One that came after the end is sent');
select pg_temp.reset();
select pg_temp.channel('A', 'of A', ', quiet_minutes => 0'), pg_temp.channel(null, 'platform', ', quiet_minutes => 0');
select spend.mute_alerts(now() + interval '1 hour', kind => 'unusual_spend'), spend.mute_alerts(now() + interval '1 hour', quota_id => (select min(id) from spend.cost_quotas));
select pg_temp.alert('unusual_spend', 'A', 'day'), pg_temp.alert('reservations_expired', 'A', 'hour');
insert into spend.alerts (tenant_id, quota_id, period_start, kind, threshold, details)
select q.tenant_id, q.id, now(), 'quota_exceeded', 1, spend_private.quota_details(q, now(), 0) from spend.cost_quotas as q;
select is(pg_temp.sent(), 'of A unusual_spend, of A reservations_expired, of A quota_exceeded, platform reservations_expired', 'Mutes of the platform, of a kind and of a quota, silence the platform''s channels alone');
insert into spend.alert_mutes (until) select now() - interval '25 hours' from generate_series(1, 3);
select is(spend.maintain(job => 'delete_mutes') ->> 'delete_mutes', '3', 'Mutes are deleted a day after their end');
select is((select count(*) from spend.alert_mutes), 2::bigint, 'The others stay');

-- Acknowledged
select pg_temp.reset();
select pg_temp.channel('A', 'one'), pg_temp.channel('A', 'two');
select pg_temp.alert('unusual_spend', 'A', 'day');
select pg_temp.alert('settle_failed', 'A', 'chat');
create function pg_temp.acknowledge(p_user text, p_kind text) returns text language sql as $$
  select pg_temp.says(p_user, format('select right((spend.acknowledge_alert(%s)).acknowledged_by::text, 1)', (select a.id from spend.alerts as a where a.kind = p_kind)))
$$;
select is(pg_temp.sent(), 'one unusual_spend, two unusual_spend', 'An alert is on its way to two channels');
select spend.finish_delivery(min(id)) from spend.alert_deliveries;
select is(pg_temp.acknowledge(w.usr, w.kind), w.answer, w.what)
from (values
  (1, 'c', 'unusual_spend', 'PT404 unknown_alert', 'A member does not acknowledge it'),
  (2, 'd', 'unusual_spend', 'PT404 unknown_alert', 'Nor does the owner of another tenant'),
  (3, 'f', 'unusual_spend', 'PT403 not_an_operator', 'Nor does an operator who views'),
  (4, 'a', 'settle_failed', 'PT404 unknown_alert', 'An owner acknowledges none that is for operators'),
  (5, 'e', 'settle_failed', 'e', 'An operator who edits does'),
  (6, 'b', 'unusual_spend', 'b', 'An admin acknowledges one of the tenant'),
  (7, 'e', 'unusual_spend', 'b', 'Who was first stays')
) as w (place, usr, kind, answer, what) order by w.place;
select throws_ok('select spend.acknowledge_alert(0)', 'PT404', 'unknown_alert', 'One that does not exist is not acknowledged');
select is(pg_temp.sent(60), null, 'What was not delivered yet is not sent any more');
select is((select string_agg(last_error, ' ') from spend.alert_deliveries where ended_at is not null), 'acknowledged', 'It says why');
select is((select delivered_at from spend.alerts where kind = 'unusual_spend'), now(), 'The alert is delivered: one channel had it');
select pg_temp.alert('reservations_expired', 'A', 'hour');
select pg_temp.acknowledge('a', 'reservations_expired');
select is(pg_temp.sent(60), null, 'One that is acknowledged before anybody was told is not sent at all');

-- Incidents
select pg_temp.reset();
delete from spend.cost_quotas;
select spend.save_alert_channel(null, 'pagerduty', 'pager', repeat('0', 32)), spend.save_alert_channel(null, 'email', 'mail', 'a@example.com');
select pg_temp.quota('B', 10, 'month', '{0.8}');
select pg_temp.spend('B', 10);
select is(pg_temp.sent(), 'mail quota_warning, mail quota_exceeded, pager quota_warning, pager quota_exceeded', 'A limit that is reached opens incidents');
select is(pg_temp.sent(1), null, 'Nothing is resolved before the incidents were delivered');
select pg_temp.deliver();
select is(pg_temp.sent(2), null, 'Nor while the limit is reached');
update spend.cost_quotas set limit_usd = 11;
select is(pg_temp.sent(63), 'pager resolves quota_exceeded', 'With a limit of 11 it is not reached any more, the warning still is: one incident is resolved, by the channel that has incidents');
select matches(
  (select d.idempotency_key from spend_private.claim_deliveries('[]', 10, now() + interval '110 seconds') as d), '^alert_[0-9]+_[0-9]+_resolve$',
  'It has a key of its own'
);
select pg_temp.deliver(100);
update spend.cost_quotas set limit_usd = 100;
select is(pg_temp.sent(170), 'pager resolves quota_warning', 'With a limit of 100 the other is, too');
select pg_temp.deliver(170);
update spend.cost_quotas set limit_usd = 10;
select spend_private.record_missed_alerts(now() + interval '300 seconds');
select is(pg_temp.sent(300), null, 'The limit of 10 was alerted before: nothing is new');
select spend.adjust(pg_temp.tenant('B'), -5, 'credit');
select pg_temp.spend('B', 4.5);
select is(pg_temp.sent(300), 'pager quota_warning', 'Spend that comes back after a credit opens an incident again, within the quiet hour of the other channels');
select pg_temp.deliver(300);
select spend.acknowledge_alert(max(id)) from spend.alerts;
select is(pg_temp.sent(361), null, 'Acknowledging resolves nothing');
select spend.adjust(pg_temp.tenant('B'), -5, 'credit');
select is(pg_temp.sent(430), 'pager resolves quota_warning', 'A credit does');
select pg_temp.reset();
select spend.save_alert_channel(null, 'pagerduty', 'pager', repeat('0', 32));
insert into spend.alerts (tenant_id, quota_id, period_start, kind, threshold, details)
select q.tenant_id, q.id, date_trunc('month', now()), 'quota_exceeded', 1, spend_private.quota_details(q, date_trunc('month', now(), 'UTC'), 0) from spend.cost_quotas as q;
update spend_private.quota_balances set spent_usd = 50;
select spend_private.record_problem('verify', 'months', 'They differ.');
select pg_temp.alert('settle_failed', 'A', 'chat');
select pg_temp.sent(), pg_temp.deliver();
select is(pg_temp.sent(61), null, 'Nothing is over');
select spend_private.resolve_problem('verify', 'months');
select is(pg_temp.sent(122), 'pager resolves verification_failed', 'A problem that is resolved resolves its incident');
select pg_temp.deliver(122);
select is(pg_temp.sent(32 * 86400), 'pager resolves quota_exceeded', 'The end of the month resolves that of a quota');
select is(
  (select count(*) from spend.alert_deliveries where resolve_check_at is not null), 0::bigint, 'What the database cannot know to be over is never looked at'
);
select pg_temp.reset();
select spend.save_alert_channel(null, 'pagerduty', 'pager', repeat('0', 32));
insert into spend.alerts (tenant_id, quota_id, period_start, kind, threshold, details, facts)
select q.tenant_id, q.id, date_trunc('month', now()), 'forecast_exceeded', 1, spend_private.quota_details(q, date_trunc('month', now(), 'UTC'), 0), '{}' from spend.cost_quotas as q;
select pg_temp.sent(), pg_temp.deliver();
select is(pg_temp.sent(61), null, 'A forecast stays open while the limit does');
update spend.cost_quotas set limit_usd = limit_usd + 1;
select is(pg_temp.sent(122), 'pager resolves forecast_exceeded', 'A raised limit resolves it');
select pg_temp.reset();
select spend.save_alert_channel(null, 'pagerduty', 'pager', repeat('0', 32));
insert into spend.alerts (tenant_id, quota_id, period_start, kind, threshold, details)
select q.tenant_id, q.id, date_trunc('month', now()), 'quota_exceeded', 1, spend_private.quota_details(q, date_trunc('month', now(), 'UTC'), 0) from spend.cost_quotas as q;
select pg_temp.sent(), pg_temp.deliver();
delete from spend.cost_quotas;
select is(pg_temp.sent(61), 'pager resolves quota_exceeded', 'A quota that is deleted resolves its incidents');

-- With their alerts
select isnt_empty('select from spend.alert_deliveries', 'Deliveries stay with their alerts');
delete from spend.alerts;
select is_empty('select from spend.alert_deliveries', 'And go with them');

select * from finish();
rollback;
