begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(16);

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b');
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 2, '2020-01-01');

-- Usage that costs p_usd dollars.
create function pg_temp.usage(p_usd numeric) returns jsonb language sql as $$
  select jsonb_build_object(
    'provider', 'test', 'model', 'model', 'input_tokens', (p_usd * 1000000)::bigint, 'output_tokens', 0
  )
$$;
create function pg_temp.reserve(p_usd numeric, p_now timestamptz default now(), p_task text default 'chat')
returns spend.reserve_result language sql as $$
  select spend_private.reserve(
    'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm',
    pg_temp.usage(p_usd), p_task, p_now => p_now
  )
$$;
-- The tenant's llm quota: spent and held.
create function pg_temp.balance() returns text language sql as $$
  select format('%s spent, %s held', trim_scale(spent_usd), trim_scale(reserved_usd))
  from spend.quota_status where scope = 'tenant' and resource_type = 'llm'
    and tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and task is null and product is null
$$;

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
