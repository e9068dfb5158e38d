-- After fill.sql: a member of each of its tenants, with a quota, a sandbox that runs and one that has ended; 200,000 events that
-- are rolled up, 100,000 changes in the log.
set session_replication_role = replica;

insert into auth.users (id) select md5('user ' || t.id)::uuid from spend.tenants as t where t.name like 'Tenant %';
insert into spend.tenant_members (tenant_id, user_id, is_seeded)
select t.id, md5('user ' || t.id)::uuid, true from spend.tenants as t where t.name like 'Tenant %';
insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd, slots, source)
select 'user', m.tenant_id, m.user_id, 'all', 'day', 100, 1, 'plan' from spend.tenant_members as m where m.is_seeded;

insert into spend.cost_events (
  tenant_id, occurred_at, booked_at, booked_xid, kind, reservation_id, user_id, task, resource_type, provider, product, cost_usd, calls
)
select r.tenant_id, r.created_at, r.ended_at, '1', 'charge', r.id, md5('user ' || r.tenant_id)::uuid, 'chat', 'llm', 'test', 'model', 0.01, 1
from spend.reservations as r
where r.status = 'settled' and r.created_at > now() - interval '12 hours';
insert into spend_private.cost_rollups (tenant_id, hour, resource_type, provider, product, task, user_id, cost_usd, calls)
select e.tenant_id, e.hour, e.resource_type, e.provider, e.product, e.task, e.user_id, sum(e.cost_usd), sum(e.calls)
from spend_private.events_by_hour as e
group by 1, 2, 3, 4, 5, 6, 7;
update spend_private.ledger_state set rolled_up_before = pg_current_xact_id();

insert into spend.execution_contexts (
  tenant_id, user_id, conversation_id, task, template, vcpus, memory_gib, timeout_seconds, status, sandbox_id, reservation_id,
  booked_at, claim_id, claimed_at, claim_expires_at, started_at, expires_at, held_until, ended_at, end_reason
)
select
  m.tenant_id, m.user_id, 'talk ' || s.status, 'sandbox', 'code-interpreter-v1', 2, 1, 300, s.status, md5(m.tenant_id || s.status),
  gen_random_uuid(), case when s.status = 'terminated' then now() end, gen_random_uuid(), now() - interval '1 minute', now(),
  now() - interval '1 minute', now() + interval '4 minutes', now() + interval '4 minutes',
  case when s.status = 'terminated' then now() end, case when s.status = 'terminated' then 'expired' end
from spend.tenant_members as m
cross join unnest(array['running', 'terminated']) as s (status)
where m.is_seeded;

insert into spend.audit_log (tenant_id, table_name, command, row_key, new_row, role_name)
select t.id, 'cost_quotas', 'UPDATE', '{"id": 1}', '{"id": 1}', 'postgres'
from spend.tenants as t, generate_series(1, 5)
where t.name like 'Tenant %';

set session_replication_role = origin;
analyze;
