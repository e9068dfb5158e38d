begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(12);

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01');
select spend.reserve(
  'aaaaaaaa-0000-4000-8000-000000000001', null, 'llm',
  '{"provider": "test", "model": "model", "input_tokens": 2000000, "output_tokens": 0}'
) from generate_series(1, 2);

select is(current_user::text, session_user::text, 'These tests run as the owner of the tables');
select throws_ok('delete from spend.reservations', 'PT409', 'reservation_is_open', 'An open reservation cannot be deleted, not even by the owner');
select throws_ok('truncate spend.reservations', 'PT409', 'reservation_is_open', 'Open reservations cannot be truncated');
select throws_ok('delete from spend.tenants', 'PT409', 'tenant_has_history', 'A tenant with an open reservation cannot be deleted');
select throws_ok('truncate spend.tenants cascade', 'PT409', 'tenant_has_history', 'Tenants with open reservations cannot be truncated');
select is((select count(*) from spend.reservations where status = 'held'), 2::bigint, 'Both open reservations are still there');
select spend.settle(min(id::text)::uuid, null) from spend.reservations;
select throws_ok('delete from spend.reservations', 'PT409', 'reservation_is_open', 'Reservations cannot be deleted together with one that is open');
select throws_ok('truncate spend.reservations', 'PT409', 'reservation_is_open', 'Reservations cannot be truncated together with one that is open');
select spend.release(id) from spend.reservations where status = 'held';
select lives_ok('delete from spend.reservations where status = ' || quote_literal('released'), 'A reservation that has ended may be deleted');
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after it');
select lives_ok('truncate spend.reservations', 'Reservations that have ended may be truncated');
select is((select sum(reserved_usd) from spend_private.quota_balances), 0::numeric, 'Nothing is held at the end');

select * from finish();
rollback;
