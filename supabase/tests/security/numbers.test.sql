begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;

-- NaN and infinity are no amounts: nowhere, by column and by argument. Read from the catalogue: a new column without a
-- check, and a new argument that is not tried here, are red.

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into auth.users (id) values ('00000000-0000-4000-8000-00000000000d');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000d');
insert into spend.execution_contexts (
  tenant_id, id, conversation_id, task, template, vcpus, memory_gib, timeout_seconds, status, reservation_id, claim_id,
  claimed_at, claim_expires_at
)
values (
  'aaaaaaaa-0000-4000-8000-000000000001', 'cccccccc-0000-4000-8000-000000000001', 'c', 'sandbox', 'base', 2, 0.5, 300,
  'creating', gen_random_uuid(), gen_random_uuid(), now(), now() + interval '1 minute'
);

-- Whether all constraints of a column, each by itself, let a value pass. The type may refuse it before them.
create function pg_temp.accepts(p_table regclass, p_column name, p_type text, p_value text) returns boolean language plpgsql as $$
declare
  v_check text;
  v_passes boolean;
begin
  for v_check in
    select pg_get_expr(c.conbin, c.conrelid)
    from pg_constraint as c
    join pg_attribute as a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
    where c.conrelid = p_table and c.contype = 'c' and a.attname = p_column
  loop
    execute format('select %s from (select %L::%s as %I) as v', v_check, p_value, p_type, p_column) into v_passes;
    if not v_passes then
      return false;
    end if;
  end loop;
  execute format('select %L::%s', p_value, p_type);
  return true;
exception
  when numeric_value_out_of_range then
    return false;
end;
$$;

create temporary table number_columns as
select c.oid::regclass as table_name, a.attname, format_type(a.atttypid, a.atttypmod) as type_name
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'spend'::regnamespace and c.relkind in ('r', 'p')
  and a.atttypid in ('numeric'::regtype, 'float8'::regtype, 'float4'::regtype)
  and (
    has_column_privilege('service_role', c.oid, a.attnum, 'insert, update')
    or has_column_privilege('authenticated', c.oid, a.attnum, 'insert, update')
  );

-- Each argument that is a number, in a call in which it alone is wrong: %s.
create temporary table calls (function_name text, argument text, call text);
insert into calls values
  ('adjust', 'amount_usd', $$spend.adjust('aaaaaaaa-0000-4000-8000-000000000001', %s, 'credit')$$),
  ('add_service_tier', 'factor', $$spend.add_service_tier('openai', 'flex', %s)$$),
  ('unusual_spend', 'factor', $$spend.unusual_spend(factor => %s)$$),
  ('unusual_spend', 'at_least_usd', $$spend.unusual_spend(at_least_usd => %s)$$),
  ('confirm_context', 'memory_gib', $$spend.confirm_context('aaaaaaaa-0000-4000-8000-000000000001', 'cccccccc-0000-4000-8000-000000000001', gen_random_uuid(), 's', now(), now(), 2, %s)$$),
  ('end_context', 'ended_seconds_ago', $$spend.end_context('aaaaaaaa-0000-4000-8000-000000000001', 'cccccccc-0000-4000-8000-000000000001', 'failed', 'test', ended_seconds_ago => %s)$$),
  ('book_stray_sandbox', 'memory_gib', $$spend.book_stray_sandbox('aaaaaaaa-0000-4000-8000-000000000001', 's', 'base', 2, %s, now() - interval '1 minute', now())$$),
  ('add_price', 'usd', $$spend.add_price('llm', 'openai', 'new', 'input_tokens', %s)$$),
  ('add_price', 'unit_size', $$spend.add_price('llm', 'openai', 'new', 'input_tokens', 1, unit_size => %s)$$),
  ('change_quota', 'limit_usd', $$spend.change_quota((select max(id) from spend.cost_quotas), limit_usd => %s)$$),
  ('change_quota', 'warning_threshold', $$spend.change_quota((select max(id) from spend.cost_quotas), warning_threshold => %s)$$),
  ('change_plan_quota', 'limit_usd', $$spend.change_plan_quota('default', 'tenant', 'llm', 'month', %s)$$),
  ('preview_price', 'usd', $$spend.preview_price((select min(id) from spend.prices), %s)$$),
  ('preview_price', 'units', $$spend.preview_price((select min(id) from spend.prices), 1, %s)$$),
  ('quotas_near_limit', 'at_least', $$spend.quotas_near_limit(%s)$$),
  ('set_user_quota', 'limit_usd', $$spend.set_user_quota('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000d', 'llm', 'day', %s)$$),
  ('set_user_quota', 'warning_threshold', $$spend.set_user_quota('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000d', 'llm', 'day', 1, %s)$$);

select plan(
  2 + 2 * (select count(*) from number_columns)::integer + 3 * (select count(*) from calls)::integer
);

select isnt_empty($$ select from number_columns $$, 'There are columns of numbers that somebody may write');
select is(
  pg_temp.accepts(n.table_name, n.attname, n.type_name, v.value), false,
  format('%s.%s refuses %s', n.table_name, n.attname, v.value)
)
from number_columns as n
cross join (values ('NaN'), ('Infinity')) as v (value);

select set_eq(
  $$
    select p.proname::text, a.name
    from pg_proc as p
    cross join lateral unnest(p.proargnames, p.proallargtypes, p.proargmodes) as a (name, type_id, mode)
    where p.pronamespace = 'spend'::regnamespace and p.prokind = 'f' and coalesce(a.mode, 'i') in ('i', 'b')
      and coalesce(a.type_id, p.proargtypes[array_position(p.proargnames, a.name) - 1])
        in ('numeric'::regtype, 'float8'::regtype, 'float4'::regtype)
  $$,
  'select function_name, argument from calls',
  'Every argument that is a number is tried'
);
select throws_ok(
  format('select * from ' || c.call, quote_literal(v.value)), '22023', null,
  format('%s: %s = %s is refused', c.function_name, c.argument, v.value)
)
from calls as c
cross join (values ('NaN'), ('Infinity'), ('-Infinity')) as v (value);

select * from finish();
rollback;
