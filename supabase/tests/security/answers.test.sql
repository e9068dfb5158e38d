begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(41);

-- What a DBA who makes a mistake is told: message, field and remedy. constraints.test.sql has a row for every constraint.

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000c'), ('00000000-0000-4000-8000-00000000000d');
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c');

create function pg_temp.answer(p_sql text) returns text language plpgsql as $$
declare
  v_detail text;
  v_hint text;
begin
  execute p_sql;
  return 'done';
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
    return format('%s %s (%s): %s', sqlstate, sqlerrm, v_detail::jsonb ->> 'field', v_hint);
end;
$$;
-- A quota like a good one, but for one thing.
create function pg_temp.quota(p_change jsonb) returns text language sql as $$
  select pg_temp.answer(format(
    'insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd, warning_threshold)
     values (%L, %L, %L, %L, %L, %L, %L)',
    r ->> 'scope', r ->> 'tenant_id', r ->> 'scope_id', r ->> 'resource_type', r ->> 'period', r ->> 'limit_usd',
    r ->> 'warning_threshold'
  ))
  from (
    select jsonb_build_object(
      'scope', 'tenant', 'tenant_id', 'aaaaaaaa-0000-4000-8000-000000000001', 'resource_type', 'llm', 'period', 'day',
      'limit_usd', 5, 'warning_threshold', 0.8
    ) || p_change as r
  ) as rows
$$;

select matches(pg_temp.quota('{"scope": "org"}'), '^22023 invalid_quota \(scope\): scope: platform, tenant or user\.$', 'A quota with scope org is refused with the scopes that there are');
select matches(pg_temp.quota('{"period": "year"}'), '^22023 invalid_quota \(period\): period: hour, day, week, month or lifetime\.$', 'A quota with period year is refused with the periods that there are');
select matches(pg_temp.quota('{"resource_type": "gpu"}'), '^22023 invalid_quota \(resource_type\): .*llm, e2b', 'A quota with resource type gpu is refused with the types that there are');
select matches(pg_temp.quota('{"limit_usd": -1}'), '^22023 invalid_quota \(limit_usd\): .*0 \(refuses everything\) or more', 'A quota with a limit of $-1 is refused');
select matches(pg_temp.quota('{"limit_usd": 1e20}'), '^22023 invalid_quota \(limit_usd\): .*less than', 'A quota with a limit of $1e20 is refused without an overflow');
select matches(pg_temp.quota('{"limit_usd": "Infinity"}'), '^22023 invalid_quota \(limit_usd\): .*For no limit, delete the row\.', 'A quota with an infinite limit is refused without an overflow');
select matches(pg_temp.quota('{"limit_usd": null}'), '^22023 invalid_quota \(limit_usd\): limit_usd may not be null\. limit_usd: USD per period', 'A quota without a limit is refused with what a limit may be');
select matches(pg_temp.quota('{"warning_threshold": 80}'), '^22023 invalid_quota \(warning_threshold\): .*0\.8 for 80 %\.$', 'A quota with a warning threshold of 80 is refused');
select matches(pg_temp.quota('{"warning_threshold": 12345678}'), '^22023 invalid_quota \(warning_threshold\)', 'A quota with a warning threshold of 12345678 is refused');
select matches(
  pg_temp.quota('{"scope": "user", "tenant_id": null, "scope_id": "00000000-0000-4000-8000-00000000000c"}'),
  '^22023 invalid_quota \(tenant_id\): .*tenant and user the id of the tenant', 'A user''s quota without a tenant is refused'
);
select matches(
  pg_temp.quota('{"scope": "user"}'), '^22023 invalid_quota \(scope_id\): .*for the scope user the id of the user', 'A user''s quota without a user is refused'
);
select matches(
  pg_temp.quota('{"scope": "user", "scope_id": "00000000-0000-4000-8000-00000000000d"}'),
  '^22023 invalid_quota \(scope_id\): .*Insert the user into spend\.tenant_members first\.$', 'A quota of a user who is not a member is refused'
);
select matches(
  pg_temp.quota('{"tenant_id": "aaaaaaaa-0000-4000-8000-000000000009"}'),
  '^PT404 unknown_tenant \(tenant_id\): .*Insert the tenant there first\.$', 'A quota of an unknown tenant is refused'
);
select matches(pg_temp.quota('{"period": "month"}'), '^PT409 duplicate_quota \(scope_id\): .*Update that row\.$', 'A second quota of the same kind is refused');
create function pg_temp.detail(p_sql text) returns jsonb language plpgsql as $$
declare
  v_detail text;
begin
  execute p_sql;
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail;
    return v_detail;
end;
$$;
select is(
  pg_temp.detail($$ insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd) values ('tenant', 'aaaaaaaa-0000-4000-8000-000000000001', 'llm', 'month', 1) $$) -> 'columns',
  '{"tenant_id": "aaaaaaaa-0000-4000-8000-000000000001", "scope_id": "aaaaaaaa-0000-4000-8000-000000000001", "resource_type": "llm", "period": "month", "task": null, "product": null}',
  'The refusal of a second quota says which one it is'
);
select matches(
  pg_temp.answer($$ update spend.cost_quotas set resource_type = 'e2b' where resource_type = 'llm' $$),
  '^PT409 duplicate_quota', 'An update cannot make a second quota of the same kind'
);
select is(pg_temp.quota('{"period": "month", "resource_type": "e2b", "scope": "platform", "tenant_id": null}'), 'done', 'A valid quota is inserted');
select is(
  (select limit_usd::text from spend.cost_quotas where scope = 'platform'), '5.000000000000', 'A limit has twelve decimals'
);

select matches(pg_temp.answer($$ insert into spend.tenants (name, plan_id) values ('B', 'pro') $$), '^PT404 unknown_plan \(plan_id\): .*Insert the plan there first', 'A tenant with an unknown plan is refused');
select matches(pg_temp.answer($$ insert into spend.tenants (name) values ('') $$), '^22023 invalid_tenant \(name\)', 'A tenant without a name is refused');
select matches(
  pg_temp.answer($$ update spend.tenants set time_zone = 'Europe/Dublni' $$),
  '^22023 invalid_tenant \(time_zone\): .*IANA.*Did you mean Europe/Dublin\?$', 'A misspelt time zone is refused with the one that is meant'
);
select matches(
  pg_temp.answer($$ update spend.tenants set time_zone = 'tokyo' $$), 'Did you mean Asia/Tokyo\?$', 'A time zone without its area is refused with the one that is meant'
);
select matches(
  pg_temp.answer($$ insert into spend.tenant_members (tenant_id, user_id, role) values ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000d', 'boss') $$),
  '^22023 invalid_member \(role\): role: owner, admin or member\.$', 'A member with role boss is refused with the roles that there are'
);
select matches(
  pg_temp.answer($$ insert into spend.tenant_members (tenant_id, user_id) values ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000f') $$),
  '^PT404 unknown_user \(user_id\): .*sign up', 'A member who is not a user is refused'
);
select matches(
  pg_temp.answer($$ insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd) values ('default', 'platform', 'llm', 'day', 1) $$),
  '^22023 invalid_plan_quota \(scope\): .*insert it into spend\.cost_quotas', 'A plan''s quota with scope platform is refused'
);
select matches(pg_temp.answer($$ delete from spend.plans where id = 'default' $$), '^PT409 plan_in_use \(id\): Rows of spend\.tenants refer to it', 'A plan with tenants cannot be deleted');
select matches(pg_temp.answer($$ update spend.plans set id = 'basic' where id = 'default' $$), '^PT409 plan_in_use', 'A plan with tenants cannot be renamed');
select matches(
  pg_temp.answer($$ update spend.tenants set id = 'aaaaaaaa-0000-4000-8000-000000000002' $$),
  '^PT409 tenant_in_use \(id\): Rows of spend\.[a-z_]+ refer to it', 'A tenant with rows that refer to it cannot get another id'
);
select matches(pg_temp.answer($$ delete from spend.meters where meter = 'input_tokens' $$), '^PT409 meter_in_use', 'A meter with prices cannot be deleted');
select matches(pg_temp.answer($$ update spend.meters set meter = 'tokens_in' where meter = 'input_tokens' $$), '^PT409 meter_in_use', 'A meter with prices cannot be renamed');
select matches(
  pg_temp.answer($$ insert into spend.product_aliases values ('openai', 'regex', 'gpt-4o(', 'gpt-4o') $$),
  '^22023 invalid_alias \(pattern\): .*regular expression', 'An alias with an invalid pattern is refused'
);
select matches(pg_temp.answer($$ update spend.settings set keep_balance_days = 10 $$), '^22023 invalid_settings \(keep_balance_days\): keep_balance_days: 40 days or more', 'Settings that keep balances for 10 days are refused');
select is(
  pg_temp.answer($$ insert into spend.plans (id, name) values ('a', 'A'), ('b', 'B') $$), 'done', 'Two plans are inserted in one statement'
);
-- The plan that a row names may come with the same statement.
select is(
  pg_temp.answer(
    $$ with new_plan as (insert into spend.plans (id, name) values ('late', 'Late'))
       insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd) values ('late', 'tenant', 'llm', 'day', 1) $$
  ),
  'done', 'A row that names a plan of the same statement is accepted'
);

-- Who says what is to be done about a conflict gets that done (written apart: a simple query sees the whole file).
create function pg_temp.upsert(p_end text) returns text language plpgsql as $$
begin
  return pg_temp.answer('insert into spend.plans (id, name) values (''a'', ''Again'') on' || ' ' || p_end);
end;
$$;
select is(pg_temp.upsert('conflict do nothing'), 'done', 'An upsert that does nothing is accepted');
select is(pg_temp.upsert(E'/* one /* in */ another */ -- and a line\nconflict do nothing'), 'done', 'An upsert with comments between its words does nothing either');
select is((select name from spend.plans where id = 'a'), 'A', 'An upsert that does nothing changes nothing');
select is(pg_temp.upsert('conflict (id) do update set name = excluded.name'), 'done', 'An upsert that updates is accepted');
select is((select name from spend.plans where id = 'a'), 'Again', 'An upsert that updates changes the row');
delete from spend.cost_quotas where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and resource_type = 'e2b' and source = 'plan';
select is(spend.ensure_quotas('aaaaaaaa-0000-4000-8000-000000000001'), 1, 'ensure_quotas inserts the quota that a tenant lacks');

update spend.plan_quotas set limit_usd = 12.3456789012345, warning_threshold = 0.12345 where resource_type = 'llm';
select results_eq(
  $$ select limit_usd, warning_threshold from spend.plan_quotas where resource_type = 'llm' and plan_id = 'default' $$,
  $$ select limit_usd, warning_threshold from spend.cost_quotas where resource_type = 'llm' and scope = 'tenant' $$,
  'A quota that follows a plan has its exact limit, however many digits were written'
);

select * from finish();
rollback;
