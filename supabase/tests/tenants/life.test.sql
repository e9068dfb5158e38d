begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(22);
\ir ../support/test_model.psql

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b');
insert into spend.plans (id, name) values ('large', 'Large');
insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd) values
  ('large', 'tenant', 'llm', 'month', 1000), ('large', 'user', 'llm', 'day', 20);
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'owner'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'member');

create function pg_temp.reserve(p_usd numeric, p_user text default 'b') returns spend.reserve_result language sql as $$
  select spend.reserve(
    'aaaaaaaa-0000-4000-8000-000000000001', ('00000000-0000-4000-8000-00000000000' || p_user)::uuid, 'llm', pg_temp.usage(p_usd)
  )
$$;
create function pg_temp.id(p_usd numeric) returns uuid language sql as $$
  select id from spend.reservations where estimated_cost_usd = p_usd
$$;
create function pg_temp.quotas() returns text language sql as $$
  select string_agg(format('%s %s %s %s', scope, resource_type, period, trim_scale(limit_usd)), ', ' order by scope, resource_type, limit_usd)
  from spend.cost_quotas where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001'
$$;

-- Plans
select is(pg_temp.quotas(), 'tenant all month 150, tenant e2b month 50, tenant llm month 100', 'A new tenant has its plan''s quotas');
select is((pg_temp.reserve(90)).allowed, true, 'A user holds 90 of 100');
select is((pg_temp.reserve(30)).allowed, false, 'A call of 30 more is refused');
update spend.tenants set plan_id = 'large';
select is(pg_temp.quotas(), 'tenant llm month 1000, user llm day 20, user llm day 20', 'After a change of plan the tenant and every user have the new plan''s quotas');
select is((pg_temp.reserve(30)).reason, 'exceeds_limit', 'The new plan''s $20 a day for each user apply at once');
delete from spend.cost_quotas where scope = 'user';
select is((pg_temp.reserve(30)).allowed, true, 'A call of 30 is admitted by the new plan''s 1000 when 90 are held');
select is((select reserved_usd from spend.quota_status where scope = 'tenant'), 120::numeric, 'A change of plan loses no hold');
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after a change of plan');

-- Members
update spend.tenant_members set role = 'admin' where user_id = '00000000-0000-4000-8000-00000000000b';
set local request.jwt.claim.sub = '00000000-0000-4000-8000-00000000000b';
select is((select count(*) from spend_private.managed_tenant_ids()), 1::bigint, 'A member who becomes an admin manages the tenant');
update spend.tenant_members set role = 'member' where user_id = '00000000-0000-4000-8000-00000000000b';
select is((select count(*) from spend_private.managed_tenant_ids()), 0::bigint, 'An admin who becomes a member no longer manages the tenant');
select spend.settle(pg_temp.id(90), pg_temp.usage(80));
delete from spend.tenant_members where user_id = '00000000-0000-4000-8000-00000000000b';
select throws_ok('select pg_temp.reserve(1)', '42501', 'not_a_member', 'A removed member cannot reserve');
select is((select count(*) from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000b'), 0::bigint, 'A removed member has no quotas');
select is((spend.settle(pg_temp.id(30), pg_temp.usage(25))).cost_usd, 25::numeric, 'An open call of a removed member settles');
select is((select sum(cost_usd) from spend.cost_events where user_id = '00000000-0000-4000-8000-00000000000b'), 105::numeric, 'The history of a removed member stays');

-- Closing
select is((pg_temp.reserve(7, 'a')).allowed, true, 'A user of an open tenant reserves');
update spend.tenants set closed_at = now();
select throws_ok('select pg_temp.reserve(1, ''a'')', 'PT403', 'tenant_closed', 'A user of a closed tenant cannot reserve');
select throws_ok(
  $$select spend.check_quota('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm', pg_temp.usage(1))$$,
  'PT403', 'tenant_closed', 'check_quota refuses a user of a closed tenant'
);
select is((spend.settle(pg_temp.id(7), pg_temp.usage(6))).cost_usd, 6::numeric, 'An open call of a closed tenant settles');
select lives_ok($$select spend.adjust('aaaaaaaa-0000-4000-8000-000000000001', -1, 'goodwill')$$, 'A closed tenant gets credits');
select throws_ok('delete from spend.tenants', 'PT409', 'tenant_has_history', 'A tenant with history cannot be deleted');
select is((select sum(cost_usd) from spend.cost_report('{tenant}')), 110::numeric, 'A closed tenant''s history is reported, 80 + 25 + 6 - 1');
update spend.tenants set closed_at = null;
select is((pg_temp.reserve(1, 'a')).allowed, true, 'A tenant that is opened again reserves');
select * from finish();
rollback;
