begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(24);
\ir ../support/one_tenant.psql

-- Changes while calls are in flight lose nothing and double nothing.
create function pg_temp.verify(p_after text) returns text language sql as $$
  select is_empty('select * from spend.verify_balances()', 'the balances equal the ledger ' || p_after)
$$;
create function pg_temp.id(p_usd numeric) returns uuid language sql as $$
  select id from spend.reservations where estimated_cost_usd = p_usd
$$;

-- Limits
select pg_temp.reserve(30);
select pg_temp.reserve(20);
select spend.settle(pg_temp.id(20), pg_temp.usage(25));
update spend.cost_quotas set limit_usd = 60 where scope = 'tenant' and resource_type = 'llm';
select is((pg_temp.reserve(5.01)).allowed, false, 'A call of 5.01 is refused when 25 are spent, 30 held and the limit is lowered to 60');
select is((pg_temp.reserve(5)).allowed, true, 'A call of 5 is admitted when 25 are spent, 30 held and the limit is 60');
update spend.cost_quotas set limit_usd = 40 where scope = 'tenant' and resource_type = 'llm';
select is((pg_temp.reserve(0.01)).allowed, false, 'Every call is refused when the limit is lowered below what is used');
select pg_temp.verify('after a limit below what is used');
select spend.release(pg_temp.id(30));
select is((pg_temp.reserve(10)).allowed, true, 'A call of 10 is admitted once a hold of 30 is released');
update spend.cost_quotas set limit_usd = 100 where scope = 'tenant' and resource_type = 'llm';
select is((pg_temp.reserve(60)).allowed, true, 'A call of 60 is admitted as soon as the limit is raised to 100');
select pg_temp.verify('after a raised limit');

-- Slots
update spend.cost_quotas set slots = 1 where scope = 'tenant';
select spend.settle(pg_temp.id(60), pg_temp.usage(1));
select is((pg_temp.reserve(59)).allowed, true, 'With one slot a call finds the room that other slots gave back');
update spend.cost_quotas set slots = 32 where scope = 'tenant';
select is((pg_temp.reserve(0.01)).allowed, false, 'With 32 slots nothing more is admitted');
select pg_temp.verify('after changes of slots');
update spend.cost_quotas set limit_usd = 1000 where scope = 'tenant';

-- A quota that comes in the middle of a period counts what was spent and is held
insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
values ('user', 'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm', 'day', 101);
select results_eq(
  $$ select trim_scale(spent_usd), trim_scale(reserved_usd) from spend.quota_status where scope = 'user' $$,
  $$ values (26::numeric, 74::numeric) $$, 'A quota added in the middle of a day counts the 26 spent and the 74 held'
);
select is((pg_temp.reserve(1.01)).allowed, false, 'A quota added in the middle of a day refuses what does not fit');
select spend.settle(pg_temp.id(59), pg_temp.usage(9));
select results_eq(
  $$ select trim_scale(spent_usd), trim_scale(reserved_usd) from spend.quota_status where scope = 'user' $$,
  $$ values (35::numeric, 15::numeric) $$, 'A hold that is older than the quota settles into it'
);
select pg_temp.verify('after a new quota');

-- Periods and time zones
update spend.cost_quotas set period = 'lifetime' where scope = 'user';
select is((select trim_scale(spent_usd) from spend.quota_status where scope = 'user'), 35::numeric, 'A quota whose period changes counts its spend anew');
update spend.tenants set time_zone = 'Pacific/Auckland';
select pg_temp.verify('in another period and time zone');
select is((select trim_scale(reserved_usd) from spend.quota_status where scope = 'user'), 15::numeric, 'A quota whose tenant changes its time zone has the open holds');
select spend.settle(id, pg_temp.usage(1)) from spend.reservations where status = 'held';
select is((select trim_scale(spent_usd) from spend.quota_status where scope = 'user'), 37::numeric, 'The open holds settle into the quota after the change');
select pg_temp.verify('when all has settled');

-- Narrower
update spend.cost_quotas set task = 'agent', limit_usd = 3 where scope = 'user';
select is((pg_temp.reserve(50)).allowed, true, 'A quota narrowed to one task does not limit other tasks');
select is((pg_temp.reserve(4, now(), 'agent')).allowed, false, 'A quota narrowed to one task limits that task');
select pg_temp.verify('after narrowing');

-- Emptied by hand
truncate spend.cost_quotas;
select is((select count(*) from spend_private.quota_balances), 0::bigint, 'Truncating the quotas deletes their balances');
select pg_temp.verify('after the quotas were truncated');

select * from finish();
rollback;
