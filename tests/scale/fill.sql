-- A project that has grown: 20,000 tenants with three quotas each, 30,000 balances above their threshold, 250,000 alerts that
-- were delivered to two channels, 600,000 reservations, 20,000 of them held. Written past the triggers, which would make each row
-- as in life, one by one.
set session_replication_role = replica;

insert into spend.tenants (id, name, plan_id)
select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'Tenant ' || n, 'default'
from generate_series(1, 20000) as n;
-- As random ids are: tenants do not share a key.
update spend.tenants set id = md5(id::text)::uuid where id::text like '00000000-0000-4000-8000-%';

insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd, slots, source)
select 'tenant', t.id, t.id, r.resource_type, 'month', 100, 8, 'plan'
from spend.tenants as t, unnest(array['llm', 'e2b', 'all']) as r (resource_type)
where t.name like 'Tenant %';

insert into spend_private.quota_balances (
  quota_id, period_start, slot, tenant_id, period_end, allotted_usd, spent_usd, reserved_usd, is_split, is_below_threshold
)
select q.id, b.start, 0, q.tenant_id, b.start + interval '1 month', 100, 85, 0, true, false
from spend.cost_quotas as q, (select date_trunc('month', now(), 'UTC') as start) as b
where q.source = 'plan' and q.slots = 8
order by q.id desc limit 30000;

insert into spend.alerts (tenant_id, quota_id, period_start, kind, threshold, details, created_at, delivered_at, routed_at)
select
  q.tenant_id, q.id, date_trunc('month', now(), 'UTC') - make_interval(months => 1, hours => n), 'quota_warning', 0.8,
  jsonb_populate_record(null::spend.quota_details, '{"limit_usd": 100, "spent_usd": 85}'),
  now() - interval '40 days', now() - interval '40 days', now() - interval '40 days'
from (select * from spend.cost_quotas as o where o.slots = 8 order by o.id limit 25000) as q, generate_series(1, 10) as n;

insert into spend.alert_channels (kind, name) values ('pagerduty', 'pager');
insert into spend.alert_deliveries (alert_id, channel, channel_id, channel_kind, event, about, created_at, next_attempt_at, attempts, delivered_at)
select
  a.id, c.name, c.id, c.kind, 'trigger', format('%s/%s/%s', a.kind, a.quota_id, a.threshold), a.created_at, a.created_at, 1, a.created_at
from spend.alerts as a
cross join (select o.name, o.id, o.kind from spend.alert_channels as o union all select 'hook', null, 'webhook') as c
where a.delivered_at is not null;

insert into spend.reservations (
  tenant_id, id, resource_type, provider, product, task, usage_estimate, estimated_cost_usd, actual_cost_usd,
  status, holds, price_ids, created_at, expires_at, ended_at
)
select
  t.id, (lpad(to_hex(1700000000000 + n * 1000 + t.place), 12, '0') || '8000a000' || left(t.id::text, 8) || lpad(to_hex(n), 4, '0'))::uuid,
  'llm', 'test', 'model', 'chat', '{}', 0.01,
  case when n > 1 then 0.01 end, case when n > 1 then 'settled' else 'held' end, '{}', '{}',
  now() - make_interval(hours => n), now() + make_interval(secs => t.place), case when n > 1 then now() end
from (select o.id, row_number() over () as place from spend.tenants as o where o.name like 'Tenant %') as t,
  generate_series(1, 30) as n;

set session_replication_role = origin;
analyze;
