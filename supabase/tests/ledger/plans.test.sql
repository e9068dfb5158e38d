begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(13);

-- 20,000 events of the last 60 days, rolled up but for the last 100; `npm run bench -- --only growth` does it with ten million.
insert into spend.tenants (id, name)
select ('00000000-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, 'Tenant ' || t from generate_series(1, 20) as t;
insert into auth.users (id) values ('00000000-0000-4000-8000-00000000000a');
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'owner');
insert into spend.cost_events (
  tenant_id, occurred_at, booked_xid, kind, reservation_id, user_id, conversation_id, task, resource_type, provider, product, cost_usd
)
select
  ('00000000-0000-4000-8000-' || lpad((1 + g % 20)::text, 12, '0'))::uuid, now() - g * interval '4 minutes',
  case when g <= 100 then pg_current_xact_id() else '3'::xid8 end, 'charge', gen_random_uuid(),
  gen_random_uuid(), 'c' || g / 200, 'chat', 'llm', 'test', 'model', 0.01
from generate_series(1, 20000) as g;
select spend_private.roll_up();
analyze spend.cost_events, spend_private.cost_rollups, spend_private.conversation_rollups, spend.tenants;

create function pg_temp.ledger_rows_read() returns bigint language sql as $$
  select sum(s.seq_tup_read + coalesce(s.idx_tup_fetch, 0))::bigint from pg_stat_xact_all_tables as s where s.relname like 'cost_events%'
$$;
-- Rows of the ledger that a query reads.
create function pg_temp.reads(p_query text, p_role text default 'none') returns bigint language plpgsql as $$
declare
  v_before bigint := pg_temp.ledger_rows_read();
begin
  perform set_config('request.jwt.claim.sub', '00000000-0000-4000-8000-00000000000a', true);
  perform set_config('role', p_role, true);
  execute 'select count(*) from (' || p_query || ') as q';
  perform set_config('role', 'none', true);
  return pg_temp.ledger_rows_read() - v_before;
end;
$$;
select is(pg_temp.reads('select * from spend.quota_status'), 0::bigint, 'quota_status reads none of 20,000 events');
select is(pg_temp.reads('select * from spend.cost_events'), 20000::bigint, 'The count of rows read is right: a scan of the ledger reads all 20,000');
select is(pg_temp.reads(r.query), 5::bigint, r.query || ' reads only the tenant''s 5 events that are not rolled up')
from unnest(array[
  'select * from spend.cost_report(tenant_id => ''00000000-0000-4000-8000-000000000001'')',
  'select * from spend.cost_report(''{conversation}'', tenant_id => ''00000000-0000-4000-8000-000000000001'', top => 10)',
  'select * from spend.unusual_spend(''00000000-0000-4000-8000-000000000001'')',
  'select * from spend.spend_by_day where tenant_id = ''00000000-0000-4000-8000-000000000001''',
  'select * from spend.spend_by_user where tenant_id = ''00000000-0000-4000-8000-000000000001'''
]) as r (query);
select is(pg_temp.reads(r.query), 100::bigint, r.query || ' reads only the 100 events that are not rolled up')
from unnest(array[
  'select * from spend.cost_report(''{tenant}'')', 'select * from spend.spend_by_product', 'select * from spend.spend_by_conversation'
]) as r (query);
select cmp_ok(pg_temp.reads(r.query, 'authenticated'), '<=', 100::bigint, 'as an owner, ' || r.query || ' reads no more than the 100 events that are not rolled up')
from unnest(array[
  'select * from spend.cost_report(''{user,day}'')', 'select * from spend.spend_by_day',
  'select * from spend.cost_report(tenant_id => ''00000000-0000-4000-8000-000000000001'')'
]) as r (query);
select * from finish();
rollback;
