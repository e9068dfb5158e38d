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
select is(pg_temp.quota(), '10 of plan', 'a member has the plan''s $10 a day');
select is(pg_temp.set_limit(100000), '42501', 'an owner does not raise it to $100,000');
select is(pg_temp.set_limit(10.01), '42501', 'nor by a cent');
select is(
  pg_temp.does('a', $$ delete from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c' $$), '0 rows',
  'nor deletes it'
);
select is(pg_temp.set_limit(3), '1 rows', 'an owner lowers it to $3');
select is(pg_temp.quota(), '3 of manual', 'which is the owner''s own from then on');
select is(pg_temp.set_limit(10), '1 rows', 'and may raise it again to the plan''s $10');
select is(pg_temp.set_limit(11), '42501', 'and no further');
select is(pg_temp.set_limit(3), '1 rows', 'lowered once more');
update spend.plan_quotas set limit_usd = 5 where plan_id = 'team' and scope = 'user';
select is(pg_temp.quota(), '3 of manual', 'another limit of the plan leaves it');
select is(pg_temp.set_limit(6), '42501', 'the plan''s new limit is what an owner cannot pass');

-- Who deletes an override has the plan's rule again, in the same transaction, with what was spent.
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01');
select spend.reserve(
  'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c', 'llm',
  '{"provider": "test", "model": "model", "input_tokens": 2000000, "output_tokens": 0}'
);
select is(
  pg_temp.does('a', $$ delete from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c' $$), '1 rows',
  'an owner deletes the override'
);
select is(pg_temp.quota(), '5 of plan', 'the plan''s quota is back');
select is(
  (select trim_scale(reserved_usd) from spend.quota_status where scope_id = '00000000-0000-4000-8000-00000000000c'), 2::numeric,
  'and holds what was held'
);
update spend.cost_quotas set limit_usd = 50 where scope_id = '00000000-0000-4000-8000-00000000000c';
select is(pg_temp.quota(), '50 of manual', 'an operator may be more generous');
delete from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c';
select is(pg_temp.quota(), '5 of plan', 'and who deletes that has the plan''s again');
delete from spend.cost_quotas where scope_id = '00000000-0000-4000-8000-00000000000c';
select is(pg_temp.quota(), null, 'what an operator deletes of the plan''s own stays deleted');

insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
values ('user', 'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c', 'llm', 'day', 4);
delete from spend.tenant_members where user_id = '00000000-0000-4000-8000-00000000000c';
select is(pg_temp.quota(), null, 'a member who leaves takes the override along, and gets no other');
select is_empty('select * from spend.verify_balances()', 'the books are right');

select * from finish();
rollback;
