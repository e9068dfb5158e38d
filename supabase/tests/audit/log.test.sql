begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(27);

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b'),
  ('00000000-0000-4000-8000-00000000000c');
create temporary table start as select coalesce(max(id), 0) as id from spend.audit_log;
grant select on start to authenticated, service_role;
-- What the log says since then, of one table.
create function pg_temp.log(p_table text) returns text language sql as $$
  select string_agg(concat_ws(' ', a.command, a.role_name, right(a.user_id::text, 1)), ', ' order by a.id)
  from spend.audit_log as a where a.table_name = p_table and a.id > (select s.id from start as s)
$$;

-- Every audited table, every command
insert into spend.plans (id, name) values ('large', 'Large');
update spend.plans set name = 'Larger' where id = 'large';
insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd) values ('large', 'tenant', 'llm', 'month', 1000);
update spend.plan_quotas set limit_usd = 2000 where plan_id = 'large';
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.tenants (id, name) values ('bbbbbbbb-0000-4000-8000-000000000002', 'B');
update spend.tenants set plan_id = 'large' where name = 'A';
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'owner'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'member'),
  ('bbbbbbbb-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000c', 'owner');
update spend.tenant_members set role = 'admin' where user_id = '00000000-0000-4000-8000-00000000000b';
delete from spend.tenant_members where user_id = '00000000-0000-4000-8000-00000000000b';
insert into spend.operators (user_id) values ('00000000-0000-4000-8000-00000000000c');
update spend.operators set role = 'editor';
delete from spend.operators;
select is(pg_temp.log('operators'), 'INSERT postgres, UPDATE postgres, DELETE postgres', 'The log has every change of operators');
select is(pg_temp.log('plans'), 'INSERT postgres, UPDATE postgres', 'The log has an insert and an update of plans');
select is(pg_temp.log('plan_quotas'), 'INSERT postgres, UPDATE postgres', 'The log has an insert and an update of plan_quotas');
select is(pg_temp.log('tenants'), 'INSERT postgres, INSERT postgres, UPDATE postgres', 'The log has inserts and an update of tenants');
select is(pg_temp.log('tenant_members'), 'INSERT postgres, INSERT postgres, INSERT postgres, UPDATE postgres, DELETE postgres', 'The log has every change of tenant_members');
select is(
  (select count(*) from spend.audit_log where table_name = 'cost_quotas' and command = 'DELETE' and tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001'),
  2::bigint, 'The log has the quotas that a change of plan deletes'
);
select results_eq(
  $$select a.old_row ->> 'limit_usd', a.new_row ->> 'limit_usd', a.row_key ->> 'plan_id' from spend.audit_log as a
    where a.table_name = 'plan_quotas' and a.command = 'UPDATE' and a.id > (select s.id from start as s)$$,
  $$values ('1000.000000000000', '2000.000000000000', 'large')$$, 'An update keeps the old row, the new row and the key'
);
select is(
  (select a.old_row ->> 'role' from spend.audit_log as a where a.table_name = 'tenant_members' and a.command = 'DELETE' order by a.id desc limit 1),
  'admin', 'A delete keeps the old row'
);
update spend.plans set name = 'Larger' where id = 'large';
select is(pg_temp.log('plans'), 'INSERT postgres, UPDATE postgres', 'An update that changes nothing is not logged');
update spend.settings set keep_alert_days = 30;
select is(pg_temp.log('settings'), 'UPDATE postgres', 'The log has an update of settings');
insert into spend.product_aliases (provider, match_kind, pattern, product) values ('test', 'equals', 'other', 'model');
select is(pg_temp.log('product_aliases'), 'INSERT postgres', 'The log has an insert into product_aliases');
insert into spend.sandbox_templates (template, vcpus, memory_gib) values ('large', 8, 16);
update spend.sandbox_templates set memory_gib = 8 where template = 'large';
delete from spend.sandbox_templates where template = 'large';
select is(pg_temp.log('sandbox_templates'), 'INSERT postgres, UPDATE postgres, DELETE postgres', 'The log has every change of sandbox_templates');
insert into spend.alert_channels (kind, name) values ('email', 'mail');
update spend.alert_channels set quiet_minutes = 5 where name = 'mail';
delete from spend.alert_channels where name = 'mail';
select is(pg_temp.log('alert_channels'), 'INSERT postgres, UPDATE postgres, DELETE postgres', 'The log has every change of alert_channels');

-- Prices: a change is logged, their first use is not, and the call that uses them writes no log at all.
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'test', 'model', 'output_tokens', 2, '2020-01-01');
update spend.prices set usd = 3 where provider = 'test' and meter = 'output_tokens';
select is(pg_temp.log('prices'), 'INSERT postgres, INSERT postgres, UPDATE postgres', 'The log has inserts and an update of prices');
create temporary table before_call as select max(id) as id from spend.audit_log;
select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm',
  '{"provider": "test", "model": "model", "input_tokens": 1, "output_tokens": 1}');
select isnt((select first_used_at from spend.prices where provider = 'test' limit 1), null, 'A call marks its prices as used');
select is((select max(id) from spend.audit_log), (select id from before_call), 'Marking prices as used is not logged');
update spend.prices set note = 'list price' where provider = 'test' and meter = 'output_tokens';
select is(pg_temp.log('prices'), 'INSERT postgres, INSERT postgres, UPDATE postgres, UPDATE postgres', 'A change of a price''s note is logged');

-- Who: through the Data API
set local role service_role;
insert into spend.cost_quotas (tenant_id, scope, resource_type, period, limit_usd)
values ('aaaaaaaa-0000-4000-8000-000000000001', 'tenant', 'e2b', 'week', 5);
reset role;
set local request.jwt.claim.sub = '00000000-0000-4000-8000-00000000000a';
set local role authenticated;
insert into spend.cost_quotas (tenant_id, scope_id, scope, resource_type, period, limit_usd)
values ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'user', 'e2b', 'week', 4);
reset role;
select is(
  (select string_agg(concat_ws(' ', a.role_name, a.user_id, a.session_user_name), ', ' order by a.id) from spend.audit_log as a where a.new_row ->> 'period' = 'week'),
  'service_role ' || session_user || ', authenticated 00000000-0000-4000-8000-00000000000a ' || session_user, 'The log has the role, the user and the session of who made a change'
);

-- Who reads it
create function pg_temp.sees(p_user text) returns bigint language plpgsql as $$
declare
  v_rows bigint;
begin
  perform set_config('request.jwt.claim.sub', '00000000-0000-4000-8000-00000000000' || p_user, true);
  perform set_config('role', 'authenticated', true);
  select count(*) into v_rows from spend.audit_log as a where a.tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001';
  perform set_config('role', 'none', true);
  return v_rows;
end;
$$;
insert into spend.tenant_members (tenant_id, user_id) values ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b');
select is(pg_temp.sees('a'), (select count(*) from spend.audit_log where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001'), 'An owner reads what changed in his tenant');
select is(pg_temp.sees('b'), 0::bigint, 'A member does not read the log');
select is(pg_temp.sees('c'), 0::bigint, 'An owner of another tenant does not read it');

-- Append-only
select throws_ok('update spend.audit_log set old_row = null', 'PT403', 'append_only', 'The log cannot be updated, not even by its owner');
select throws_ok('delete from spend.audit_log', 'PT403', 'append_only', 'The log cannot be deleted from');
select throws_ok('truncate spend.audit_log', 'PT403', 'append_only', 'The log cannot be truncated');
select is(
  (select string_agg(r || ' ' || p, ', ') from unnest(array['anon', 'authenticated', 'service_role']) as r, unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) as p
   where has_table_privilege(r, 'spend.audit_log', p)),
  null, 'No role of the Data API may write the log'
);
truncate spend.product_aliases;
select is(pg_temp.log('product_aliases'), 'INSERT postgres, TRUNCATE postgres c', 'The log has a truncate of an audited table');
delete from spend.tenants where name = 'B';
select is(
  (select a.old_row ->> 'name' from spend.audit_log as a where a.table_name = 'tenants' and a.command = 'DELETE' order by a.id desc limit 1),
  'B', 'The log keeps the rows of a tenant that is deleted'
);
select * from finish();
rollback;
