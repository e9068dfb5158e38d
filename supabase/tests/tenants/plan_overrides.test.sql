begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(19);
\ir ../support/signed_in.psql

-- A: owner and member. Members of its plan get $10 of llm a day.
insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000c');
insert into spend.plans (id, name) values ('team', 'Team');
insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd) values
  ('team', 'tenant', 'llm', 'month', 100), ('team', 'user', 'llm', 'day', 10);
insert into spend.tenants (id, name, plan_id) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A', 'team');
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'owner'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c', 'member');

create function pg_temp.quota() returns text language sql as $$
  select string_agg(format('%s of %s', trim_scale(limit_usd), source), ', ')
  from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c' and period = 'day'
$$;
create function pg_temp.set_limit(p_usd numeric) returns text language sql as $$
  select pg_temp.does('a', format(
    'update spend.cost_quotas set limit_usd = %s where scope_id = ''00000000-0000-4000-8000-00000000000c'' and period = ''day''', p_usd
  ))
$$;

-- An owner tightens the operator's rule, and never loosens it.
select is(pg_temp.quota(), '10 of plan', 'A member has the plan''s $10 a day');
select is(pg_temp.set_limit(100000), '42501', 'An owner cannot raise the plan''s limit to $100,000');
select is(pg_temp.set_limit(10.01), '42501', 'An owner cannot raise the plan''s limit by a cent');
select is(
  pg_temp.does('a', $$ delete from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c' $$), '0 rows',
  'An owner cannot delete the plan''s quota'
);
select is(pg_temp.set_limit(3), '1 rows', 'An owner lowers the limit to $3');
select is(pg_temp.quota(), '3 of manual', 'A limit that an owner lowered is manual');
select is(pg_temp.set_limit(10), '1 rows', 'An owner raises it again to the plan''s $10');
select is(pg_temp.set_limit(11), '42501', 'An owner cannot raise it above the plan''s $10');
select is(pg_temp.set_limit(3), '1 rows', 'An owner lowers it again to $3');
update spend.plan_quotas set limit_usd = 5 where plan_id = 'team' and scope = 'user';
select is(pg_temp.quota(), '3 of manual', 'A change of the plan''s limit leaves the manual one alone');
select is(pg_temp.set_limit(6), '42501', 'An owner cannot pass the plan''s new limit');

-- Who deletes an override has the plan's rule again, in the same transaction, with what was spent.
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01');
select spend.reserve(
  'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c', 'llm',
  '{"provider": "test", "model": "model", "input_tokens": 2000000, "output_tokens": 0}'
);
select is(
  pg_temp.does('a', $$ delete from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c' $$), '1 rows',
  'An owner deletes a manual limit'
);
select is(pg_temp.quota(), '5 of plan', 'The plan''s quota comes back when the manual one is deleted');
select is(
  (select trim_scale(reserved_usd) from spend.quota_status where scope_id = '00000000-0000-4000-8000-00000000000c'), 2::numeric,
  'The plan''s quota holds what the manual one held'
);
update spend.cost_quotas set limit_usd = 50 where scope_id = '00000000-0000-4000-8000-00000000000c';
select is(pg_temp.quota(), '50 of manual', 'An operator raises a limit above the plan''s');
delete from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c';
select is(pg_temp.quota(), '5 of plan', 'The plan''s quota comes back when the operator deletes his own');
delete from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c';
select is(pg_temp.quota(), null, 'A quota of the plan that an operator deletes stays deleted');

insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
values ('user', 'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c', 'llm', 'day', 4);
delete from spend.tenant_members where user_id = '00000000-0000-4000-8000-00000000000c';
select is(pg_temp.quota(), null, 'A member who leaves has no quota, neither a manual one nor the plan''s');
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after all of this');

select * from finish();
rollback;
