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
select is(pg_temp.reserve('2026-03-01 20:00+00'), true, 'A tenant in Tokyo spends $6 of the platform''s $10 on the evening of March 1 in UTC');
select is(pg_temp.reserve('2026-03-02 01:00+00'), true, 'A tenant in Tokyo spends $6 on March 2 in UTC, which is another day of the platform');
select is(pg_temp.reserve('2026-03-02 02:00+00'), false, 'A tenant in Tokyo cannot spend $6 more on March 2 in UTC');

delete from spend.plan_quotas where plan_id = 'default' and resource_type = 'e2b';
select is_empty(
  $$ select from spend.cost_quotas where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and resource_type = 'e2b' $$,
  'Tenants lose a quota that their plan loses'
);

select * from finish();
rollback;
