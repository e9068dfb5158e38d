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

select is((pg_temp.reserve(10, now(), 'long')).allowed, true, 'a call of 10 is held');
select is(pg_temp.extend(30, 1200), 'allowed: t, estimate 30', 'extended to 30 in all');
select is(pg_temp.balance(), '0 spent, 30 held', '30 are held');
select is(pg_temp.expiry(), now() + interval '20 minutes', 'for twenty minutes from now');
select is(pg_temp.extend(30, 1200), 'allowed: t, estimate 30', 'asked again: holds nothing twice');
select is(pg_temp.extend(20, 60), 'allowed: t, estimate 30', 'a smaller estimate does not shrink the hold');
select is(pg_temp.expiry(), now() + interval '20 minutes', 'nor an earlier expiry the time');
select is((pg_temp.reserve(60)).allowed, true, 'another call holds 60');
select results_eq(
  $$ select allowed, reason, trim_scale((quota).estimated_cost_usd) from spend.extend(
       (select id from spend.reservations where task = 'long'), pg_temp.usage(41)) $$,
  $$ values (false, 'in_flight', 11::numeric) $$, 'extending by 11 does not fit the 10 that are left'
);
select is(pg_temp.balance(), '0 spent, 90 held', 'refused: the reservation stays as it was');
select is(pg_temp.extend(40), 'allowed: t, estimate 40', 'by 10: it fits to the cent');
select is(
  (spend.extend((select id from spend.reservations where task = 'long'), pg_temp.usage(50), 600, false)).allowed, true,
  'enforce = false: extended over the limit'
);
select is(pg_temp.balance(), '0 spent, 110 held', 'and held');
select throws_ok(
  $$ select spend.extend((select id from spend.reservations where task = 'long'), '{"provider": "test", "model": "model", "input_tokens": 1}') $$,
  '22023', 'invalid_usage', 'an extension without a count is refused'
);
select spend.settle(id, pg_temp.usage(5)) from spend.reservations where task = 'long';
select throws_ok('select pg_temp.extend(60)', 'PT409', 'reservation_ended', 'a settled reservation is not extended');
select is_empty('select * from spend.verify_balances()', 'the balances equal the ledger');

select * from finish();
rollback;
