begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(2);

-- A quota that counted by the hour, and counts by the day since now.
insert into spend.plans (id, name) values ('bare', 'Without quotas');
insert into spend.tenants (id, name, plan_id) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A', 'bare');
insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
values ('tenant', 'aaaaaaaa-0000-4000-8000-000000000001', 'llm', 'hour', 10);
insert into spend_private.quota_balances (quota_id, period_start, slot, tenant_id, period_end, allotted_usd)
select q.id, date_trunc('hour', now()) - make_interval(hours => n), 0, q.tenant_id, date_trunc('hour', now()) - make_interval(hours => n - 1), 10
from spend.cost_quotas as q, generate_series(1, 5) as n where q.period = 'hour';
select is(spend_private.delete_old_balances(100), 0::bigint, 'Balances of five past hours are kept while the quota counts by the hour');
update spend.cost_quotas set period = 'day' where period = 'hour';
select spend_private.delete_old_balances(100);
select is(
  (select count(*) from spend_private.quota_balances where period_end - period_start = interval '1 hour'), 0::bigint,
  'They are deleted once the quota counts by the day'
);
select * from finish();
rollback;
