begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(13);

-- One tenant for each place where its money may be, and nowhere else.
insert into spend.tenants (id, name)
select ('aaaaaaaa-0000-4000-8000-00000000000' || i)::uuid, t.name
from unnest(array['never spent', 'open call', 'ended call', 'event', 'dropped month', 'sandbox']) with ordinality as t (name, i);
create function pg_temp.id(p_name text) returns uuid language sql as $$ select id from spend.tenants where name = p_name $$;
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'test', 'model', 'output_tokens', 2, '2020-01-01');
create function pg_temp.reserve(p_name text) returns uuid language sql as $$
  select (spend.reserve(pg_temp.id(p_name), null, 'llm', '{"provider": "test", "model": "model", "input_tokens": 1000000, "output_tokens": 0}')).reservation_id
$$;
select pg_temp.reserve('open call');
select spend.release(pg_temp.reserve('ended call'));
select spend.adjust(pg_temp.id('event'), 1, 'credit');
insert into spend_private.cost_rollups (tenant_id, hour, resource_type, cost_usd, calls) values (pg_temp.id('dropped month'), '2020-01-01', 'llm', 5, 1);
insert into spend.execution_contexts (
  tenant_id, conversation_id, task, template, vcpus, memory_gib, timeout_seconds, reservation_id, claim_id, claimed_at, claim_expires_at
) values (pg_temp.id('sandbox'), 'c', 'sandbox', 't', 1, 1, 1, gen_random_uuid(), gen_random_uuid(), '2026-01-01', '2026-01-02');

select throws_ok(format('delete from spend.tenants where name = %L', t.name), 'PT409', 'tenant_has_history', t.name || ': this tenant cannot be deleted')
from unnest(array['open call', 'ended call', 'event', 'dropped month', 'sandbox']) as t (name);
select throws_ok('truncate spend.tenants cascade', 'PT409', 'tenant_has_history', 'Tenants with history cannot be truncated');
select lives_ok('delete from spend.tenants where name = ''never spent''', 'A tenant that never spent can be deleted');

-- Whichever of them is left is enough.
set local session_replication_role = replica;
delete from spend.reservations;
set local session_replication_role = origin;
select throws_ok('truncate spend.tenants cascade', 'PT409', 'tenant_has_history', 'Tenants with events alone cannot be truncated');
set local spend.retention = 'on';
delete from spend.cost_events;
delete from spend_private.cost_rollups;
select throws_ok('truncate spend.tenants cascade', 'PT409', 'tenant_has_history', 'Tenants with sandboxes alone cannot be truncated');
delete from spend.execution_contexts;
insert into spend_private.cost_rollups (tenant_id, hour, resource_type, cost_usd, calls) values (pg_temp.id('dropped month'), '2020-01-01', 'llm', 5, 1);
select throws_ok('truncate spend.tenants cascade', 'PT409', 'tenant_has_history', 'Tenants with sums of dropped months alone cannot be truncated');
delete from spend_private.cost_rollups;
select pg_temp.reserve('event');
delete from spend_private.cost_rollups;
select throws_ok('truncate spend.tenants cascade', 'PT409', 'tenant_has_history', 'Tenants with reservations alone cannot be truncated');
select spend.release(id) from spend.reservations;
delete from spend.reservations;
set local session_replication_role = replica;
update spend.prices set first_used_at = null;
set local session_replication_role = origin;
select lives_ok('truncate spend.tenants cascade', 'Tenants without history can be truncated');
select is((select count(*) from spend.tenants), 0::bigint, 'No tenant is left after it');
select * from finish();
rollback;
