begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(11);

insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
values ('llm', 'test', 'new', 'input_tokens', 1, '2020-01-01');
-- What was spent so many hours before this hour; all of it in quotas of $10,000 a month.
create function pg_temp.forecast(p_spend text, p_quota text default '{}') returns text language plpgsql as $$
declare
  v_tenant_id uuid;
  v_quota_id bigint;
begin
  delete from spend.plan_quotas;
  insert into spend.tenants (name) values ('T') returning id into v_tenant_id;
  insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, product, task)
  values ('tenant', v_tenant_id, 'llm', 'month', 10000, p_quota::jsonb ->> 'product', p_quota::jsonb ->> 'task')
  returning id into v_quota_id;
  insert into spend.cost_events (
    kind, reservation_id, tenant_id, occurred_at, resource_type, provider, product, task, cost_usd, calls
  )
  select 'charge', gen_random_uuid(), v_tenant_id, date_trunc('hour', now(), 'UTC') - make_interval(hours => s.hours), 'llm', 'test',
    coalesce(s.product, 'old'), 'chat', s.usd, 1
  from jsonb_to_recordset(p_spend::jsonb) as s (hours integer, usd numeric, product text);
  return (
    select concat_ws(' ', trim_scale(round(f.usd_per_hour, 6)), f.method)
    from spend.quota_forecast(v_tenant_id, v_quota_id) as f
  );
end;
$$;

select is(pg_temp.forecast('[]'), 'too_little_history', 'Without spend there is no forecast');
select is(
  pg_temp.forecast('[{"hours": 23, "usd": 100}]'), 'too_little_history', 'With a first spend 23 hours ago there is no forecast'
);
select is(
  pg_temp.forecast('[{"hours": 48, "usd": 10}, {"hours": 1, "usd": 86}]'), '2 rate_since_first_spend',
  '$96 since a first spend 48 hours ago are $2 an hour, not a seventh of that'
);
select is(
  pg_temp.forecast('[{"hours": 24, "usd": 24}]'), '1 rate_since_first_spend', '$24 since a first spend a day ago are $1 an hour'
);
select is(
  pg_temp.forecast('[{"hours": 166, "usd": 332}]'), '2 rate_since_first_spend', '$332 since a first spend 166 hours ago are $2 an hour'
);
select is(
  pg_temp.forecast('[{"hours": 168, "usd": 168}]'), '1 rate_of_last_7_days', '$168 in the first of the 168 hours are $1 an hour'
);
select is(
  pg_temp.forecast('[{"hours": 400, "usd": 1}, {"hours": 48, "usd": 168}]'), '1 rate_of_last_7_days',
  'Who spent 400 hours ago, and $168 two days ago, spent it in seven days'
);
select is(
  pg_temp.forecast('[{"hours": 839, "usd": 1}, {"hours": 48, "usd": 168}]'), '1 rate_of_last_7_days',
  'What was spent five weeks ago is remembered'
);
select is(
  pg_temp.forecast('[{"hours": 841, "usd": 1}, {"hours": 48, "usd": 96}]'), '2 rate_since_first_spend',
  'Who was silent for five weeks counts as new'
);
select is(
  pg_temp.forecast('[{"hours": 300, "usd": 500}, {"hours": 48, "usd": 96, "product": "new"}]', '{"product": "new"}'),
  '2 rate_since_first_spend', 'A limit of a new product is forecast by the time since its first call'
);
select is(
  pg_temp.forecast('[{"hours": 300, "usd": 500, "product": "new"}, {"hours": 48, "usd": 168, "product": "new"}]', '{"product": "new"}'),
  '1 rate_of_last_7_days', 'A limit of an older product, by seven days'
);
select * from finish();
rollback;
