begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(29);

insert into auth.users (id) values ('00000000-0000-4000-8000-00000000000a');
insert into spend.tenants (id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A'), ('bbbbbbbb-0000-4000-8000-000000000001', 'B');
insert into spend.tenant_members (tenant_id, user_id)
values ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a');
insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'all', 'month', 1000);
insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd) values
  ('user', 'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm', 'day', 900);
-- Right until the second of March; then $10 was entered where the provider asks $1, and set right on the fourth.
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 2, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 2, '2020-01-01'),
  ('llm', 'test', 'model', 'input_tokens', 10, '2026-03-02 00:00+00'),
  ('llm', 'test', 'model', 'input_tokens', 1, '2026-03-04 00:00+00');

create temporary table call (name text, id uuid);
create function pg_temp.usage(p_input numeric, p_output numeric) returns jsonb language sql as $$
  select jsonb_build_object('provider', 'test', 'model', 'model', 'input_tokens', p_input, 'output_tokens', p_output)
$$;
create function pg_temp.call(p_name text, p_tenant text, p_at timestamptz) returns void language sql as $$
  insert into call values (p_name, (spend_private.reserve(
    (p_tenant || '-0000-4000-8000-000000000001')::uuid,
    case p_tenant when 'aaaaaaaa' then '00000000-0000-4000-8000-00000000000a'::uuid end,
    'llm', pg_temp.usage(1000000, 1000000), p_now => p_at
  )).reservation_id)
$$;
create function pg_temp.settle(p_name text, p_usage jsonb, p_at timestamptz) returns void language sql as $$
  select spend_private.settle(c.id, p_usage, p_now => p_at) from call as c where c.name = p_name
$$;
create function pg_temp.booked(p_name text) returns numeric language sql as $$
  select trim_scale(sum(e.cost_usd)) from spend.cost_events as e join call as c on c.id = e.reservation_id
  where c.name = p_name
$$;
create function pg_temp.reprice(p_dry_run boolean, p_to timestamptz default '2026-03-03') returns table (
  tenant text, calls bigint, booked numeric, rightly numeric, difference numeric
) language sql as $$
  select left(r.tenant_id::text, 1), r.calls, trim_scale(r.booked_usd), trim_scale(r.right_usd), trim_scale(r.difference_usd)
  from spend.reprice('test', 'model', '2026-03-02', p_to, p_dry_run) as r
$$;

select pg_temp.call('day before', 'aaaaaaaa', '2026-03-01 12:00+00');
select pg_temp.call('known', 'aaaaaaaa', '2026-03-02 10:00+00');
select pg_temp.call('unknown', 'aaaaaaaa', '2026-03-02 11:00+00');
select pg_temp.call('half known', 'bbbbbbbb', '2026-03-02 12:00+00');
select pg_temp.call('expired', 'bbbbbbbb', '2026-03-02 13:00+00');
select pg_temp.call('released', 'bbbbbbbb', '2026-03-02 14:00+00');
select pg_temp.call('open', 'bbbbbbbb', '2026-03-02 15:00+00');
select pg_temp.call('day after', 'bbbbbbbb', '2026-03-03 10:00+00');
select pg_temp.settle('day before', pg_temp.usage(1000000, 0), '2026-03-01 12:01+00');
select pg_temp.settle('known', pg_temp.usage(500000, 500000), '2026-03-02 10:01+00');
select pg_temp.settle('unknown', null, '2026-03-02 11:01+00');
select pg_temp.settle('half known', pg_temp.usage(4000000, null), '2026-03-02 12:01+00');
select spend_private.release((select id from call where name = 'released'), p_now => '2026-03-02 14:01+00');
select pg_temp.settle('day after', pg_temp.usage(1000000, 0), '2026-03-03 10:01+00');
update spend.reservations set expires_at = '2026-03-10' where id = (select id from call where name = 'open');
select spend_private.expire_reservations(p_now => '2026-03-05');
create temporary table before as select * from spend.cost_events;

select is_empty($$ select * from pg_temp.reprice(true) $$, 'Before the revision, repricing finds nothing to correct');

-- The right price, stated late
prepare wrong_way as insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
values ('llm', 'test', 'model', 'input_tokens', 1, '2026-03-02 01:00+00');
select throws_ok('wrong_way', 'PT409', 'price_would_rewrite_history', 'A price cannot take effect before calls that are booked');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, revision, note)
values ('llm', 'test', 'model', 'input_tokens', 1, '2026-03-02 00:00+00', 1, 'a 0 too many');
select throws_ok(
  $$ update spend.prices set revision = 0, effective_from = '2026-03-02 01:00+00' where note = 'a 0 too many' $$,
  'PT409', 'price_would_rewrite_history', 'A revision cannot become an ordinary price'
);

select results_eq($$ select * from pg_temp.reprice(true) $$, $$ values
    -- known: 0.5 M × $10 + 0.5 M × $2 was $6, is $1.50. unknown: the estimate, $12, is $3.
    ('a', 2::bigint, 18::numeric, 4.5, -13.5),
    -- half known: 4 M in was $40, is $4. expired: as unknown.
    ('b', 2, 52, 7, -45)
  $$, 'A dry run answers per tenant what would change');
select results_eq($$ select count(*) from spend.cost_events $$, $$ select count(*) from before $$, 'A dry run books nothing');

select results_eq($$ select tenant, difference from pg_temp.reprice(false) $$, $$ values ('a', -13.5), ('b', -45::numeric) $$, 'Repricing answers what the dry run answered');
select is(pg_temp.booked('known'), 1.5, 'A call with known usage is booked at the right price');
select is(pg_temp.booked('unknown'), 3::numeric, 'A call with unknown usage is booked at the right estimate');
select is(pg_temp.booked('half known'), 4::numeric, 'A call with half-known usage is booked at the dearer of what is known and the estimate');
select is(pg_temp.booked('expired'), 3::numeric, 'An expired call is booked at the right estimate');
select is(pg_temp.booked('released'), null, 'A released call still costs nothing');
select is(pg_temp.booked('day before'), 2::numeric, 'A call before the span stays as it was');
select is(pg_temp.booked('day after'), 10::numeric, 'A call after the span stays as it was');
select is((select count(*) from spend.cost_events where kind = 'correction'), 4::bigint, 'Each of the four calls gets one correction');
select is((select trim_scale(sum(cost_usd)) from spend.cost_events where kind = 'correction'), -58.5, 'The corrections add up to the difference');
select is_empty($$ select * from before except select * from spend.cost_events $$, 'The events of before stay as they were');
select is_empty(
  $$ select from spend.cost_events as e join spend.reservations as r on r.id = e.reservation_id where e.occurred_at <> r.created_at $$,
  'A correction counts in the periods of its call'
);
select results_eq(
  $$ select c.name, trim_scale(r.actual_cost_usd), r.status, r.is_estimated from call as c join spend.reservations as r using (id)
     where c.name in ('expired', 'half known', 'known', 'unknown') order by 1 $$,
  $$ values ('expired', 3::numeric, 'expired', true), ('half known', 4, 'settled', true), ('known', 1.5, 'settled', false), ('unknown', 3, 'settled', true) $$,
  'The reservations have the right costs'
);
select is_empty($$ select * from spend.verify_balances() $$, 'verify_balances finds nothing after repricing');

-- Once
select is_empty($$ select * from pg_temp.reprice(false) $$, 'A second repricing corrects nothing');
select is((select count(*) from spend.cost_events where kind = 'correction'), 4::bigint, 'A second repricing books no event');

-- What settles later
select pg_temp.settle('open', pg_temp.usage(1000000, 0), '2026-03-05 12:00+00');
select pg_temp.settle('expired', pg_temp.usage(100000, 0), '2026-03-05 12:00+00');
select is(pg_temp.booked('open'), 1::numeric, 'A call that was open settles at the right price by itself');
select is(pg_temp.booked('expired'), 0.1, 'A late settlement corrects all that was booked before');

-- A wrong correction is corrected too; the right price is fixed as soon as it is booked.
select throws_ok($$ update spend.prices set usd = 3 where note = 'a 0 too many' $$, 'PT409', 'price_in_use', 'A revision that was used cannot be changed');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, revision)
values ('llm', 'test', 'model', 'input_tokens', 2, '2026-03-02 00:00+00', 2);
select results_eq(
  $$ select tenant, calls, difference from pg_temp.reprice(false, '2026-03-04') $$,
  -- a: 0.5 + 1; b: 4 + 0.1 + 1 − and 1 M of the day after, $10, is $2.
  $$ values ('a', 2::bigint, 1.5), ('b', 4, -2.9) $$, 'The highest revision counts, and a longer span corrects more calls'
);
select is_empty($$ select * from spend.verify_balances() $$, 'verify_balances finds nothing after the second repricing');

-- A quota that came after the call was booked, and so is not among its holds
select pg_temp.call('today', 'aaaaaaaa', now());
select pg_temp.settle('today', pg_temp.usage(1000000, 0), now());
insert into spend.cost_quotas (scope, resource_type, period, product, limit_usd) values ('platform', 'llm', 'lifetime', 'model', 5);
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, revision)
values ('llm', 'test', 'model', 'input_tokens', 7, now(), 1);
select is(
  (select trim_scale(r.difference_usd) from spend.reprice('test', '*', now(), now() + interval '1 second', false) as r),
  6::numeric, 'Repricing corrects every product of a provider'
);
select is_empty($$ select * from spend.verify_balances() $$, 'A correction counts in a quota that is younger than its call');

-- A provider that answers with the name of another model, which has a price of its own
delete from spend.cost_quotas where product = 'model';
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
values ('llm', 'test', 'other', 'input_tokens', 1000, '2020-01-01');
select pg_temp.call('answered as other', 'bbbbbbbb', now());
select pg_temp.settle('answered as other', pg_temp.usage(1000000, 0) || '{"model": "other"}', now());
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, revision)
values ('llm', 'test', 'model', 'input_tokens', 8, now(), 2);
select results_eq(
  $$ select trim_scale(r.booked_usd), trim_scale(r.right_usd) from spend.reprice('test', '*', now(), now() + interval '1 second', false) as r
     where r.tenant_id = 'bbbbbbbb-0000-4000-8000-000000000001' $$,
  $$ values (7::numeric, 8::numeric) $$, 'Repricing bills the product that was reserved, whatever model the usage names'
);

select * from finish();
rollback;
