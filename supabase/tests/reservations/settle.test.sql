begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(35);
\ir ../support/one_tenant.psql

-- One reservation per case, by name.
create temporary table made (name text, id uuid);
create function pg_temp.make(p_name text, p_usd numeric, p_now timestamptz default now()) returns void language sql as $$
  insert into made select p_name, (pg_temp.reserve(p_usd, p_now)).reservation_id
$$;
create function pg_temp.id(p_name text) returns uuid language sql as $$
  select id from made where name = p_name
$$;
create function pg_temp.settle(p_name text, p_usd numeric) returns text language sql as $$
  select format('%s at %s, estimated: %s', status, trim_scale(cost_usd), is_estimated)
  from spend.settle(pg_temp.id(p_name), pg_temp.usage(p_usd))
$$;
create function pg_temp.release(p_name text) returns text language sql as $$
  select format('%s at %s', status, trim_scale(cost_usd)) from spend.release(pg_temp.id(p_name))
$$;

-- Below the hold
select pg_temp.make('below', 0.6);
select is(pg_temp.settle('below', 0.2), 'settled at 0.2, estimated: f', 'A hold of 0.6 settles at 0.2');
select is(pg_temp.balance(), '0.2 spent, 0 held', 'After it 0.2 is spent and nothing is held');
select is(pg_temp.settle('below', 0.5), 'settled at 0.2, estimated: f', 'A second settle with other usage answers the first result');
select is(pg_temp.release('below'), 'settled at 0.2', 'A release after the settle answers the first result');
select is(pg_temp.balance(), '0.2 spent, 0 held', 'Neither books anything more');

-- Release
select pg_temp.make('released', 0.4);
select is(pg_temp.release('released'), 'released at 0', 'A hold of 0.4 is released');
select is(pg_temp.release('released'), 'released at 0', 'A second release answers the same');
select pg_temp.make('exact', 0.4);
select is(
  (select cost_usd::text from spend.release(pg_temp.id('exact'))),
  (select cost_usd::text from spend.release(pg_temp.id('exact'))),
  'A second release answers the same number to the last digit'
);
select is(pg_temp.balance(), '0.2 spent, 0 held', 'After the releases nothing is held');
select is(pg_temp.settle('released', 0.3), 'settled at 0.3, estimated: f', 'A settle after a release is booked');
select is(pg_temp.balance(), '0.5 spent, 0 held', 'The settle after a release is spent');

-- Above the hold and over the limit
select pg_temp.make('dear', 10);
select is(pg_temp.settle('dear', 12.5), 'settled at 12.5, estimated: f', 'A hold of 10 settles at 12.5, in full');
select is(pg_temp.settle('dear', 12.5), 'settled at 12.5, estimated: f', 'The same report again answers the same');
select is(pg_temp.balance(), '13 spent, 0 held', 'A settle that is reported twice is booked once');
select pg_temp.make('huge', 1);
select is(pg_temp.settle('huge', 120), 'settled at 120, estimated: f', 'A call over the limit of 100 settles in full');
select is(pg_temp.balance(), '133 spent, 0 held', 'The balance has all that was spent over the limit');
select is((pg_temp.reserve(0.1)).reason, 'limit_reached', 'The next call after it is refused');
update spend.cost_quotas set limit_usd = 1000 where scope = 'tenant';

-- Unknown usage
select pg_temp.make('unknown', 2);
select results_eq(
  $$ select status, cost_usd, is_estimated from spend.settle(pg_temp.id('unknown'), null) $$,
  $$ values ('settled', 2::numeric, true) $$, 'A settle with unknown usage is booked at the estimate, and marked as estimated'
);
select pg_temp.make('partly', 2);
select results_eq(
  $$ select cost_usd, is_estimated from spend.settle(pg_temp.id('partly'), '{"provider": "test", "model": "model", "input_tokens": 3000000}') $$,
  $$ values (3::numeric, true) $$, 'A settle with half-known usage above the estimate is booked at what is known, and marked as estimated'
);
select pg_temp.make('wrong', 2);
select throws_ok(
  $$ select spend.settle(pg_temp.id('wrong'), '{"tokens": 1}') $$, '22023', 'invalid_usage', 'A settle with invalid usage is refused'
);
select is((select status from spend.reservations where id = pg_temp.id('wrong')), 'held', 'A refused settle leaves the hold');
select pg_temp.release('wrong');
select throws_ok(
  $$ select spend.settle('00000000-0000-8000-a000-000000000000', null) $$, 'PT404', 'unknown_reservation', 'A settle of an unknown reservation is refused'
);

-- Expiry
select is(pg_temp.balance(), '138 spent, 0 held', '138 are spent before any hold expires');
select pg_temp.make('expired', 0.5, now() - interval '11 minutes');
select pg_temp.make('fresh', 0.2);
select is(spend.expire_reservations(), 1, 'One hold is past its ten minutes and expires');
select is(pg_temp.balance(), '138.5 spent, 0.2 held', 'Its 0.5 is spent, and a younger hold of 0.2 is kept');
select is(pg_temp.settle('expired', 0.3), 'settled at 0.3, estimated: f', 'An expired hold settles late at 0.3');
select is(pg_temp.balance(), '138.3 spent, 0.2 held', 'The late settle corrects what is spent to 0.3');
select results_eq(
  $$ select kind, trim_scale(cost_usd), is_estimated from spend.cost_events where reservation_id = pg_temp.id('expired') order by id $$,
  $$ values ('expiry', 0.5, true), ('correction', -0.2, false) $$, 'The late settle books a correction, and leaves the expiry'
);
select pg_temp.make('lost', 0.7, now() - interval '11 minutes');
select spend.expire_reservations();
select is(pg_temp.release('lost'), 'released at 0', 'An expired hold is released late');
select is(pg_temp.balance(), '138.3 spent, 0.2 held', 'The late release takes the expiry back');

select pg_temp.make('ended first', 0.1, now() - interval '13 minutes');
select pg_temp.make('next', 0.1, now() - interval '12 minutes');
select pg_temp.release('ended first');
select is(spend.expire_reservations(max_rows => 1), 1, 'A call that has ended takes no place in a batch of one: the next hold expires');
select pg_temp.release('next');

-- A price that only the real usage has is fixed from then on
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
values ('llm', 'test', 'model', 'cache_read_tokens', 0.1, now());
select pg_temp.make('cached', 1);
select spend.settle(
  pg_temp.id('cached'),
  '{"provider": "test", "model": "model", "input_tokens": 1000000, "output_tokens": 0, "cache_read_tokens": 1000000}'
);
select throws_ok(
  $$ update spend.prices set usd = 0.2 where product = 'model' and meter = 'cache_read_tokens' $$, 'PT409', null,
  'A price that only the settled usage needed cannot be changed afterwards'
);

select is(
  (select sum(cost_usd) from spend.cost_events), 138.4::numeric, 'The ledger adds up to what was spent'
);
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after all settles and releases');

-- Usage that the caller counted because the provider was stopped
select pg_temp.make('counted', 2);
select results_eq(
  $$ select status, trim_scale(cost_usd), is_estimated from spend.settle(pg_temp.id('counted'), pg_temp.usage(0.5), '{"is_estimated": true}') $$,
  $$ values ('settled', 0.5, true) $$, 'Usage that the caller counted is booked, and marked as estimated'
);

select * from finish();
rollback;
