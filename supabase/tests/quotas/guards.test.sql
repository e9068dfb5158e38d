begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(4);

insert into spend.tenants (id, name, time_zone) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A', 'Asia/Tokyo');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01');
insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'llm', 'day', 10);

create function pg_temp.reserve(p_now timestamptz) returns boolean language sql as $$
  select (spend_private.reserve(
    'aaaaaaaa-0000-4000-8000-000000000001', null, 'llm',
    '{"provider": "test", "model": "model", "input_tokens": 6000000, "output_tokens": 0}', p_now => p_now
  )).allowed
$$;
select is(pg_temp.reserve('2026-03-01 20:00+00'), true, 'the platform has $10 a day: $6 on the evening of March 1 in UTC, March 2 in Tokyo');
select is(pg_temp.reserve('2026-03-02 01:00+00'), true, '$6 on March 2 in UTC: another day of the platform, for a tenant in Tokyo too');
select is(pg_temp.reserve('2026-03-02 02:00+00'), false, 'and $6 more do not fit');

delete from spend.plan_quotas where plan_id = 'default' and resource_type = 'e2b';
select is_empty(
  $$ select from spend.cost_quotas where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and resource_type = 'e2b' $$,
  'a quota that the plan lost, its tenants lose'
);

select * from finish();
rollback;
