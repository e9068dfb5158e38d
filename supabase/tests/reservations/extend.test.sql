begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(16);
\ir ../support/one_tenant.psql

create function pg_temp.extend(p_usd numeric, p_ttl integer default 600) returns text language sql as $$
  select format('allowed: %s, estimate %s', allowed, trim_scale(estimated_cost_usd))
  from spend.extend((select id from spend.reservations where task = 'long'), pg_temp.usage(p_usd), p_ttl)
$$;
create function pg_temp.expiry() returns timestamptz language sql as $$
  select expires_at from spend.reservations where task = 'long'
$$;

select is((pg_temp.reserve(10, now(), 'long')).allowed, true, 'A call holds 10');
select is(pg_temp.extend(30, 1200), 'allowed: t, estimate 30', 'The call is extended to 30 in all');
select is(pg_temp.balance(), '0 spent, 30 held', 'The extended call holds 30');
select is(pg_temp.expiry(), now() + interval '20 minutes', 'The extended call expires in twenty minutes');
select is(pg_temp.extend(30, 1200), 'allowed: t, estimate 30', 'The same extension again holds nothing more');
select is(pg_temp.extend(20, 60), 'allowed: t, estimate 30', 'A smaller estimate does not shrink the hold');
select is(pg_temp.expiry(), now() + interval '20 minutes', 'An earlier expiry does not shorten the hold');
select is((pg_temp.reserve(60)).allowed, true, 'Another call holds 60');
select results_eq(
  $$ select allowed, reason, trim_scale((quota).estimated_cost_usd) from spend.extend(
       (select id from spend.reservations where task = 'long'), pg_temp.usage(41)) $$,
  $$ values (false, 'in_flight', 11::numeric) $$, 'An extension by 11 is refused when 10 are left'
);
select is(pg_temp.balance(), '0 spent, 90 held', 'A refused extension leaves the holds as they were');
select is(pg_temp.extend(40), 'allowed: t, estimate 40', 'An extension by 10 fits to the cent');
select is(
  (spend.extend((select id from spend.reservations where task = 'long'), pg_temp.usage(50), 600, false)).allowed, true,
  'An extension over the limit is admitted with enforce = false'
);
select is(pg_temp.balance(), '0 spent, 110 held', 'The call holds the extension over the limit');
select throws_ok(
  $$ select spend.extend((select id from spend.reservations where task = 'long'), '{"provider": "test", "model": "model", "input_tokens": 1}') $$,
  '22023', 'invalid_usage', 'An extension without a required count is refused'
);
select spend.settle(id, pg_temp.usage(5)) from spend.reservations where task = 'long';
select throws_ok('select pg_temp.extend(60)', 'PT409', 'reservation_ended', 'A settled reservation cannot be extended');
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after all extensions');

select * from finish();
rollback;
