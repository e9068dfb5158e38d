begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(30);
\ir ../support/signed_in.psql

-- A: owner, admin, member. B: another tenant, with an owner of its own.
insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b'),
  ('00000000-0000-4000-8000-00000000000c'), ('00000000-0000-4000-8000-00000000000d');
insert into spend.tenants (id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A'), ('bbbbbbbb-0000-4000-8000-000000000002', 'B');
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'owner'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'admin'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c', 'member'),
  ('bbbbbbbb-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000d', 'owner');
insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'llm', 'month', 1000);

create function pg_temp.add(
  p_user text, p_limit numeric, p_scope text default 'user', p_tenant text default 'aaaaaaaa-0000-4000-8000-000000000001',
  p_scope_id text default '00000000-0000-4000-8000-00000000000c', p_period text default 'month', p_type text default 'llm'
) returns text language sql as $$
  select pg_temp.does(p_user, format(
    'insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd) values (%L, %L, %L, %L, %L, %s)',
    p_scope, p_tenant, p_scope_id, p_type, p_period, p_limit
  ))
$$;

-- The tenant has llm $100, e2b $50, all $150 a month.
select is(pg_temp.add('a', 100), '1 rows', 'An owner gives a user a quota of the tenant''s whole $100');
select is(pg_temp.add('b', 10, p_period => 'day'), '1 rows', 'An admin gives a user a quota a day');
select is(pg_temp.add('b', 50.01, p_type => 'e2b'), '42501', 'An admin cannot give a user more than the tenant''s $50 of e2b');
select is(pg_temp.add('b', 50, p_type => 'e2b', p_scope_id => '00000000-0000-4000-8000-00000000000b'), '1 rows', 'An admin gives himself a quota');
select is(pg_temp.add('c', 10, p_period => 'week'), '42501', 'A member cannot add a quota, not even his own');
select is(pg_temp.add('d', 10, p_period => 'week'), '42501', 'An owner of another tenant cannot add a quota');
select is(
  pg_temp.add('a', 10, p_tenant => 'bbbbbbbb-0000-4000-8000-000000000002', p_scope_id => '00000000-0000-4000-8000-00000000000d'),
  '42501', 'An owner cannot add a quota for users of another tenant'
);
select is(pg_temp.add('a', 10, p_scope_id => '00000000-0000-4000-8000-00000000000d'), '42501', 'An owner cannot add a quota for a user who is not a member');
select is(
  pg_temp.add('a', 10, 'tenant', p_scope_id => 'aaaaaaaa-0000-4000-8000-000000000001', p_period => 'day'),
  '42501', 'An owner cannot add a quota of the tenant'
);
select is(
  pg_temp.does('a', 'insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values (''platform'', ''llm'', ''day'', 1)'),
  '42501', 'An owner cannot add a quota of the platform'
);
select is(
  pg_temp.does('a', $$insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd, enforcement)
    values ('user', 'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c', 'llm', 'hour', 1, 'observe')$$),
  '42501', 'An owner cannot choose the enforcement'
);
select is(
  pg_temp.does('a', $$insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd, slots)
    values ('user', 'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c', 'llm', 'hour', 1, 200)$$),
  '42501', 'An owner cannot choose the slots'
);

-- Updates
select is(
  pg_temp.does('b', 'update spend.cost_quotas set limit_usd = 5 where scope = ''user'' and period = ''day'''),
  '1 rows', 'An admin lowers a user''s limit'
);
select is(
  (select limit_usd from spend.cost_quotas where scope = 'user' and period = 'day'), 5::numeric, 'The user''s limit is lowered'
);
select is(
  pg_temp.does('b', 'update spend.cost_quotas set limit_usd = 100.01 where scope = ''user'' and period = ''month'' and resource_type = ''llm'''),
  '42501', 'An admin cannot raise a user''s limit above the tenant''s'
);
select is(
  pg_temp.does('a', 'update spend.cost_quotas set limit_usd = 1000 where scope = ''tenant'''),
  '0 rows', 'An owner cannot change the tenant''s quotas'
);
select is(
  pg_temp.does('a', 'update spend.cost_quotas set limit_usd = 100000 where scope = ''platform'''),
  '0 rows', 'An owner cannot change the platform''s quotas'
);
select is(
  pg_temp.does('d', 'update spend.cost_quotas set limit_usd = 0 where tenant_id = ''aaaaaaaa-0000-4000-8000-000000000001'''),
  '0 rows', 'An owner of another tenant cannot change this tenant''s quotas'
);
select is(
  pg_temp.does('c', 'update spend.cost_quotas set limit_usd = 99 where scope_id = ''00000000-0000-4000-8000-00000000000c'''),
  '0 rows', 'A member cannot raise his own limit'
);
select is(
  pg_temp.does('a', 'update spend.cost_quotas set tenant_id = ''bbbbbbbb-0000-4000-8000-000000000002'' where scope = ''user'''),
  '42501', 'An owner cannot move a quota to another tenant'
);
select is(
  pg_temp.does('a', 'update spend.cost_quotas set scope = ''platform'', tenant_id = null, scope_id = null where scope = ''user'''),
  '42501', 'An owner cannot turn a user''s quota into one of the platform'
);
select is(
  pg_temp.does('a', 'update spend.cost_quotas set source = ''plan'' where scope = ''user'''),
  '42501', 'An owner cannot give a quota back to the plan'
);

-- Deletes
select is(pg_temp.does('c', 'delete from spend.cost_quotas'), '0 rows', 'A member cannot delete a quota');
select is(pg_temp.does('d', 'delete from spend.cost_quotas where tenant_id = ''aaaaaaaa-0000-4000-8000-000000000001'''), '0 rows', 'An owner of another tenant cannot delete this tenant''s quotas');
select is(pg_temp.does('a', 'delete from spend.cost_quotas where scope <> ''user'''), '0 rows', 'An owner cannot delete the tenant''s quotas');
select is(pg_temp.does('a', 'delete from spend.cost_quotas where period = ''day'''), '1 rows', 'An owner deletes a user''s quota');
select is((select count(*) from spend.cost_quotas where scope <> 'user'), 7::bigint, 'The quotas of tenants and platform are all there');

-- A plan's user quota that an admin changes is his from then on.
insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd) values ('default', 'user', 'all', 'month', 20);
select is(
  pg_temp.does('b', 'update spend.cost_quotas set limit_usd = 10 where resource_type = ''all'' and scope_id = ''00000000-0000-4000-8000-00000000000c'''),
  '1 rows', 'An admin lowers a user''s quota of the plan'
);
update spend.plan_quotas set limit_usd = 25 where scope = 'user';
select results_eq(
  'select limit_usd, source from spend.cost_quotas where resource_type = ''all'' and scope = ''user'' and tenant_id = ''aaaaaaaa-0000-4000-8000-000000000001'' order by 1',
  $$values (10::numeric, 'manual'), (25, 'plan'), (25, 'plan')$$, 'A change of the plan leaves that quota alone, and reaches the others'
);
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after all of this');
select * from finish();
rollback;
