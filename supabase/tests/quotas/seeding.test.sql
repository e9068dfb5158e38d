begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(15);
\ir ../support/one_tenant.psql

create function pg_temp.quotas(p_tenant uuid default 'aaaaaaaa-0000-4000-8000-000000000001') returns text language sql as $$
  select string_agg(format('%s %s %s %s %s', scope, resource_type, period, trim_scale(limit_usd), source), ', '
    order by scope, resource_type, period)
  from spend.cost_quotas where tenant_id = p_tenant
$$;

select is(pg_temp.quotas(), 'tenant all month 150 plan, tenant e2b month 50 plan, tenant llm month 100 plan',
  'A new tenant has quotas of $100 llm, $50 e2b and $150 in all a month');
select is((select array_agg(distinct slots) from spend.cost_quotas where scope = 'tenant'), array[8], 'A tenant''s quotas have 8 slots');

insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd) values ('default', 'user', 'llm', 'day', 5);
select is(pg_temp.quotas(), 'tenant all month 150 plan, tenant e2b month 50 plan, tenant llm month 100 plan, user llm day 5 plan',
  'A user quota added to the plan reaches the members that there are');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b');
select is((select count(*) from spend.cost_quotas where scope = 'user'), 2::bigint, 'A member who joins gets the plan''s user quota');
select is((pg_temp.reserve(5.01)).reason, 'exceeds_limit', 'The plan''s user quota limits its member');

update spend.cost_quotas set limit_usd = 7 where scope = 'user' and scope_id = '00000000-0000-4000-8000-00000000000a';
select is(
  (select source from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000a'), 'manual',
  'A limit changed by hand is marked as manual'
);
update spend.plan_quotas set limit_usd = 6 where scope = 'user';
select is(
  (select array_agg(trim_scale(limit_usd) order by scope_id) from spend.cost_quotas where scope = 'user'),
  array[7, 6]::numeric[], 'A change of the plan leaves a manual limit alone'
);

insert into spend.plans (id, name) values ('team', 'Team');
insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
values ('team', 'tenant', 'all', 'month', 500), ('team', 'tenant', 'all', 'day', 50);
select is((pg_temp.reserve(1)).allowed, true, 'A call of 1 is held');
update spend.tenants set plan_id = 'team' where id = 'aaaaaaaa-0000-4000-8000-000000000001';
select is(pg_temp.quotas(), 'tenant all day 50 plan, tenant all month 500 plan, user llm day 7 manual', 'A change of plan replaces the plan''s quotas, and keeps the manual one');
select is(
  (select array_agg(trim_scale(reserved_usd)) from spend.quota_status where scope = 'tenant'), array[1, 1]::numeric[],
  'New quotas begin with what is held'
);

select is(spend.ensure_quotas('aaaaaaaa-0000-4000-8000-000000000001'), 0, 'ensure_quotas adds nothing when nothing is missing');
delete from spend.cost_quotas where scope = 'tenant' and period = 'day';
select is(spend.ensure_quotas('aaaaaaaa-0000-4000-8000-000000000001'), 1, 'ensure_quotas brings back a quota that was deleted');

delete from spend.tenant_members where user_id = '00000000-0000-4000-8000-00000000000a';
select is(pg_temp.quotas(), 'tenant all day 50 plan, tenant all month 500 plan', 'A removed member has no quotas');
select throws_ok('select pg_temp.reserve(1)', '42501', 'not_a_member', 'A removed member cannot reserve');
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after all of these changes');

select * from finish();
rollback;
