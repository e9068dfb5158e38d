begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(20);
\ir ../support/one_tenant.psql

-- A has 50 of 100 left, B (another scope of the same call) 100
insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
values ('user', 'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm', 'month', 100);
select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(50));
select results_eq(
  $$ select allowed, (quota).scope, trim_scale((quota).remaining_usd) from pg_temp.reserve(60) $$,
  $$ values (false, 'tenant', 50::numeric) $$, 'A call of 60 is refused by the tenant''s quota, which has 50 left, and not by the user''s, which has 100'
);
select results_eq(
  $$ select scope, trim_scale(current_spend_usd) from spend.quota_status where resource_type = 'llm' order by scope $$,
  $$ values ('tenant', 50::numeric), ('user', 0::numeric) $$, 'A refused call changes neither quota'
);

-- Platform, and quotas without a call's scope
insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'all', 'hour', 70);
select results_eq(
  $$ select trim_scale(limit_usd), trim_scale(current_spend_usd) from spend.quota_status where scope = 'platform' $$,
  $$ values (70::numeric, 50::numeric) $$, 'A platform quota counts every tenant'
);
select is((select slots from spend.cost_quotas where scope = 'platform'), 64, 'A platform quota has 64 slots');
select is(((pg_temp.reserve(21)).quota).scope, 'platform', 'A platform quota refuses a call that the tenant has room for');
select is((pg_temp.reserve(20)).allowed, true, 'A platform quota admits a call that uses it up to the cent');
select is(
  (select max(retry_after) <= 3600 from (select (pg_temp.reserve(1)).retry_after) as r), true,
  'A refusal by a quota of an hour says to retry within the hour'
);
delete from spend.cost_quotas where scope = 'platform';
select is((pg_temp.reserve(1)).allowed, true, 'Without a quota of a scope, that scope has no limit');

-- Resource types
select is((spend.reserve(
  'aaaaaaaa-0000-4000-8000-000000000001', null, 'e2b',
  '{"provider": "e2b", "template": "base", "vcpus": 2, "memory_gib": 0.5, "seconds": 300}'
)).allowed, true, 'Spend on llm leaves the quota of e2b alone');
select is(
  (select trim_scale(reserved_usd) from spend.quota_status where scope = 'tenant' and resource_type = 'all'), 71.009075,
  'A quota of all resources counts llm and e2b'
);

-- Task and product
insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, task)
values ('tenant', 'aaaaaaaa-0000-4000-8000-000000000001', 'llm', 'day', 2, 'agent');
insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, product)
values ('tenant', 'aaaaaaaa-0000-4000-8000-000000000001', 'llm', 'day', 75, 'model');
select is((pg_temp.reserve(3, now(), 'agent')).allowed, false, 'A quota of 2 for agents refuses an agent''s call of 3');
select is((pg_temp.reserve(3)).allowed, true, 'A quota for agents does not refuse a chat');
select is(((pg_temp.reserve(2)).quota).limit_usd, 75::numeric, 'A quota for one model refuses a call that does not fit');

-- Observe
update spend.cost_quotas set enforcement = 'observe' where task = 'agent' or product = 'model';
select is((pg_temp.reserve(3, now(), 'agent')).allowed, true, 'A quota that observes refuses nothing');
select is(
  (select trim_scale(current_spend_usd) from spend.quota_status where task = 'agent'), 3::numeric, 'A quota that observes counts'
);
select spend.settle(id, pg_temp.usage(3)) from spend.reservations where task = 'agent';
select isnt_empty(
  $$ select from spend.alerts a join spend.cost_quotas q on q.id = a.quota_id where q.task = 'agent' and a.kind = 'quota_exceeded' $$, 'A quota that observes records alerts'
);
select is(
  (spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(500), enforce => false)).allowed, true,
  'A call of 500 over all limits is admitted with enforce = false'
);
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after a call that was not enforced');

-- Zero
insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
values ('user', 'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'all', 'lifetime', 0);
select results_eq(
  $$ select allowed, retry_after from pg_temp.reserve(0) $$, $$ values (false, null::integer) $$, 'A limit of 0 refuses even a call that is free'
);

-- Long silence: one balance of the current hour
insert into spend.tenants (id, name) values ('cccccccc-0000-4000-8000-000000000001', 'C');
update spend.cost_quotas set period = 'hour' where tenant_id = 'cccccccc-0000-4000-8000-000000000001' and resource_type = 'llm';
select spend_private.reserve('cccccccc-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(1), p_now => now() - interval '14400 hours');
select spend.reserve('cccccccc-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(1));
select is(
  (select count(distinct b.period_start) from spend_private.quota_balances b join spend.cost_quotas q on q.id = b.quota_id
   where q.tenant_id = 'cccccccc-0000-4000-8000-000000000001' and q.resource_type = 'llm'), 2::bigint,
  'A call after 14,400 hours without traffic makes one balance, and none for the hours between'
);

select * from finish();
rollback;
