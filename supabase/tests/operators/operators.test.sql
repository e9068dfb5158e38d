begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(51);
\ir ../support/signed_in.psql

-- Users: a owns A, b is a member of A, e is an operator who edits, f one who views, g is nobody.
insert into auth.users (id, email)
select ('00000000-0000-4000-8000-00000000000' || u)::uuid, u || '@example.com' from unnest(array['a', 'b', 'e', 'f', '9']) as u;
insert into spend.operators (user_id, role) values
  ('00000000-0000-4000-8000-00000000000e', 'editor'), ('00000000-0000-4000-8000-00000000000f', 'viewer');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
values ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01');
insert into spend.plans (id, name) values ('p', 'Plan');
insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
values ('p', 'tenant', 'llm', 'month', 10), ('p', 'user', 'llm', 'day', 5);
insert into spend.tenants (id, name, plan_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'Acme', 'p'), ('bbbbbbbb-0000-4000-8000-000000000002', 'Bolt', 'p');
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'owner'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'member');
insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'all', 'month', 1000);

-- A call of so many dollars; settled, or left open.
create function pg_temp.call(p_tenant text, p_user text, p_usd numeric, p_settle boolean default true) returns uuid language plpgsql as $$
declare
  v_usage jsonb := jsonb_build_object('provider', 'test', 'model', 'model', 'input_tokens', p_usd * 1000000, 'output_tokens', 0);
  v_id uuid;
begin
  select reservation_id into v_id from spend.reserve(
    p_tenant::uuid, ('00000000-0000-4000-8000-00000000000' || p_user)::uuid, 'llm', v_usage
  );
  if p_settle then
    perform spend.settle(v_id, v_usage);
  end if;
  return v_id;
end;
$$;
create temporary table calls as
select
  pg_temp.call('aaaaaaaa-0000-4000-8000-000000000001', 'a', 2) as settled,
  pg_temp.call('aaaaaaaa-0000-4000-8000-000000000001', 'b', 3, false) as held,
  pg_temp.call('bbbbbbbb-0000-4000-8000-000000000002', null, 9) as of_bolt;
grant select on calls to public;

create function pg_temp.quota_of_acme() returns bigint language sql as $$
  select id from spend.cost_quotas where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and scope = 'tenant'
$$;

-- Reading
select is(pg_temp.says(u.usr, 'select count(*) from spend.tenants'), u.tenants, format('%s sees %s tenants', u.who, u.tenants))
from (values ('a', 'An owner', '1'), ('e', 'An editor', '2'), ('f', 'A viewer', '2'), ('9', 'A stranger', '0')) as u (usr, who, tenants);
select set_config('request.jwt.claim.sub', '00000000-0000-4000-8000-000000000009', true);
select cmp_ok(
  spend_private.first_operated(), '>', spend_private.last_operated(), 'The range of a stranger has no tenant, not even that of zeros, whose balances are the platform''s'
);
select set_config('request.jwt.claim.sub', '00000000-0000-4000-8000-00000000000f', true);
select is(
  array[spend_private.first_operated(), spend_private.last_operated()],
  '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff}', 'That of an operator has all of them'
);
select is(
  pg_temp.says('f', format('select count(*) from spend.%s', t.name)), t.rows, format('An operator reads every row of %s', t.name)
)
from (values
  ('tenant_members', '2'), ('reservations', '3'), ('cost_events', '2'), ('hourly_costs', '2'),
  -- Of each tenant one by its plan, of each member one, and the platform's.
  ('cost_quotas', '5'), ('quota_status', '5')
) as t (name, rows);
select is(
  pg_temp.says('f', 'select sum(spent_usd)::numeric(9, 2) from spend.quota_status where scope = ''platform'''), '11.00',
  'An operator sees what is spent of the platform''s quota'
);
select is(pg_temp.says('9', 'select count(*) from spend.cost_quotas'), '0', 'A stranger sees no quota, not even the platform''s');
select is(
  pg_temp.says('a', 'select operator_role || (tenants -> 0 ->> ''role'') from spend.whoami()'), null,
  'An owner is no operator'
);
select is(
  pg_temp.says('a', 'select tenants -> 0 ->> ''name'' from spend.whoami()'), 'Acme', 'whoami tells an owner the owner''s tenants'
);
select is(
  pg_temp.says('e', 'select operator_role || '' '' || tenants from spend.whoami()'), 'editor []',
  'whoami tells an operator the role'
);
select is(
  pg_temp.says('e', 'select user_id from spend.operators'), '00000000-0000-4000-8000-00000000000e',
  'An operator sees no other operator'
);

-- Lists
select is(
  pg_temp.says('f', 'select concat_ws('' '', name, members, month_usd::numeric(9, 2), worst_percent, total) from spend.fleet()'),
  'Bolt 0 9.00 90.00 2; Acme 2 2.00 60.00 2', 'The fleet lists the dearest tenant first, with its fullest quota'
);
select is(
  pg_temp.says('f', format('select name from spend.fleet(%s)', f.arguments)), f.names, format('The fleet by %s', f.arguments)
)
from (values
  ('order_by => ''name''', 'Acme; Bolt'), ('order_by => ''utilization''', 'Bolt; Acme'),
  ('search => ''ACM''', 'Acme'), ('search => ''bbbbbbbb-0000-4000-8000-000000000002''', 'Bolt'),
  ('search => ''%''', null), ('order_by => ''name'', top => 1, skip => 1', 'Bolt')
) as f (arguments, names);
select is(
  pg_temp.says('f', 'select concat_ws('' '', tenant_name, scope, utilization_percent) from spend.quotas_near_limit(0.6)'),
  'Bolt tenant 90.00; Acme user 60.00', 'Quotas of which 60 % are used, the fullest first'
);
select is(
  pg_temp.says('b', 'select concat_ws('' '', scope, utilization_percent) from spend.quotas_near_limit(0.4)'),
  'user 60.00; tenant 50.00', 'A member sees the member''s own quota and the tenant''s near their limits'
);
select is(
  pg_temp.says('a', 'select count(*) from spend.quotas_near_limit(0)'), '3', 'An owner sees the quotas of every member'
);
select is(
  pg_temp.says('f', 'select concat_ws('' '', tenant_name, estimated_cost_usd::numeric(9, 2)) from spend.open_holds()'), 'Acme 3.00',
  'Open holds of all tenants'
);
select is(
  pg_temp.says('f', 'select count(*) || '' '' || max(total) from spend.quotas_near_limit(0.4, 1, 1)'), '1 4',
  'The second page of the quotas near their limit, of four'
);
select is(
  pg_temp.says('f', 'select count(*) from spend.open_holds(10, 1)'), '0', 'The second page of one open hold is empty'
);
select is(
  pg_temp.says('f', 'select count(*) from spend.preview_reprice(''test'', ''model'', ''2020-01-01'', ''2099-01-01'')'), '0',
  'A viewer tries a reprice: no call was booked at a wrong price'
);
select is(
  pg_temp.says('f', 'select health -> ''open_reservations'' from spend.health() as health'), '1', 'Health counts the open calls'
);

-- Who may not
select is(pg_temp.says(u.usr, 'select ' || f.call), 'PT403 not_an_operator', format('%s may not call %s', u.who, f.call))
from (values
  ('spend.fleet()'), ('spend.open_holds()'), ('spend.health()'), ('spend.latest_calls()'),
  ('spend.release_hold((select held from calls), ''stuck'')'), ('spend.preview_reprice(''test'', ''model'', ''2020-01-01'', ''2099-01-01'')'),
  ('spend.change_plan_quota(''p'', ''tenant'', ''llm'', ''month'', 1)')
) as f (call)
cross join (values ('a', 'An owner')) as u (usr, who);
select is(
  pg_temp.says('f', format('select spend.change_quota(%s, 1)', pg_temp.quota_of_acme())), 'PT403 not_an_operator',
  'A viewer changes no quota'
);
select is(
  pg_temp.says('f', 'select spend.add_price(''llm'', ''test'', ''model'', ''input_tokens'', 2)'), 'PT403 not_an_operator',
  'A viewer adds no price'
);

-- Changes
select is(
  pg_temp.says('e', format('select trim_scale(limit_usd) || '' '' || source from spend.change_quota(%s, 4)', pg_temp.quota_of_acme())),
  '4 manual', 'An editor changes a limit'
);
select is(
  (select allowed || ' ' || reason from spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm',
    '{"provider": "test", "model": "model", "input_tokens": 2500000, "output_tokens": 0}')),
  'false limit_reached', 'The next call is admitted by the new limit'
);
select is(
  (select a.user_id || ' ' || a.role_name || ' ' || trim_scale((a.new_row ->> 'limit_usd')::numeric) from spend.audit_log as a
   where a.table_name = 'cost_quotas' order by a.id desc limit 1),
  '00000000-0000-4000-8000-00000000000e authenticated 4', 'The change stands in the audit log under the editor''s name'
);
select is(
  pg_temp.says('e', 'select trim_scale((spend.change_plan_quota(''p'', ''tenant'', ''llm'', ''month'', 20)).limit_usd)'), '20',
  'An editor changes what a plan gives'
);
select is(
  (select string_agg(trim_scale(limit_usd)::text, ' ' order by tenant_id) from spend.cost_quotas where scope = 'tenant'), '4 20',
  'The plan''s tenants follow, and what was set by hand stays'
);
select is(
  pg_temp.says('e', 'select spend.add_price(''llm'', ''test'', ''model'', ''input_tokens'', 2, now() + interval ''1 day'') is not null'),
  'true', 'An editor adds a price for tomorrow'
);
select is(
  pg_temp.says('e', 'select spend.add_price(''llm'', ''test'', ''model'', ''input_token'', 2)'), '22023 unknown_meter',
  'A meter that there is not is named'
);
select is(
  pg_temp.says('e', 'select status from spend.release_hold((select held from calls), ''stuck'')'), 'released',
  'An editor releases a hold'
);

select is_empty('select * from spend.verify_balances()', 'The books are right');
select * from finish();
rollback;
