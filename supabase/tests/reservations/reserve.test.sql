begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(26);
\ir ../support/one_tenant.psql

-- Answers
select is((pg_temp.reserve(60)).allowed, true, 'A limit of 100 admits a call of 60');
select is(pg_temp.balance(), '0 spent, 60 held', 'An admitted call holds its estimate');
select results_eq(
  $$ select allowed, reason, reservation_id, trim_scale((quota).limit_usd), trim_scale((quota).reserved_usd),
       trim_scale((quota).remaining_usd), (quota).utilization_percent, (quota).scope, (quota).period
     from pg_temp.reserve(50) $$,
  $$ values (false, 'in_flight', null::uuid, 100::numeric, 60::numeric, 40::numeric, 60.00, 'tenant', 'month') $$,
  'A call of 50 is refused as in_flight while 60 of 100 are held, and names the quota'
);
select cmp_ok((pg_temp.reserve(50)).retry_after, '<=', 600, 'A refusal as in_flight says to retry no later than the hold expires');
select is(pg_temp.balance(), '0 spent, 60 held', 'A refusal changes no balance');
select results_eq(
  $$ select reason, retry_after from pg_temp.reserve(101) $$, $$ values ('exceeds_limit', null::integer) $$,
  'A call larger than the limit is refused as exceeds_limit, without a time to retry'
);
select is((pg_temp.reserve(40)).allowed, true, 'A call of 40 fits to the cent when 60 of 100 are held');
select is((pg_temp.reserve(0.000001)).allowed, false, 'A call of a millionth of a dollar is refused when 100 of 100 are held');
select spend.settle(id, pg_temp.usage(estimated_cost_usd)) from spend.reservations where status = 'held';
select is((pg_temp.reserve(1)).reason, 'limit_reached', 'A call is refused as limit_reached when 100 of 100 are spent');
select is(
  (select retry_after from pg_temp.reserve(1)),
  ceil(extract(epoch from date_trunc('month', now(), 'UTC') + interval '1 month' - now()))::integer,
  'A refusal as limit_reached says to retry when the month ends'
);

-- check_quota
select is((spend.check_quota(
  'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm', pg_temp.usage(1)
)).reason, 'limit_reached', 'check_quota answers as reserve would');
select is((spend.check_quota(
  'aaaaaaaa-0000-4000-8000-000000000001', null, 'e2b',
  '{"provider": "e2b", "template": "base", "vcpus": 2, "memory_gib": 0.5, "seconds": 300}'
)).estimated_cost_usd, 0.009075, 'check_quota estimates 300 s of 2 vCPU and 0.5 GiB at (2 × 0.000014 + 0.5 × 0.0000045) × 300');
select is((select count(*) from spend.reservations), 2::bigint, 'check_quota holds nothing');

-- Errors
select throws_ok(
  $$ select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'llm', pg_temp.usage(1)) $$,
  '42501', 'not_a_member', 'A user who is not a member is refused'
);
select throws_ok(
  $$ select spend.reserve('aaaaaaaa-0000-4000-8000-000000000009', '00000000-0000-4000-8000-00000000000a', 'llm', pg_temp.usage(1)) $$,
  '42501', 'not_a_member', 'An unknown tenant answers as somebody else''s does'
);
select throws_ok(
  $$ select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm',
       '{"provider": "test", "model": "unheard-of", "input_tokens": 1, "output_tokens": 1}') $$,
  'PT422', 'unpriced_product', 'A model without a price is refused, and is not free'
);
select throws_ok(
  format($$ select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', %L) $$, pg_temp.usage(1) || u.usage),
  '22023', 'invalid_usage', u.case
)
from (values
  ('{"tokens": 1}'::jsonb, 'an unknown key is refused'),
  ('{"input_tokens": -1}', 'a negative count is refused'),
  ('{"input_tokens": 1.5}', 'a fractional count is refused'),
  ('{"input_tokens": "1"}', 'a count that is a text is refused'),
  ('{"cache_read_tokens": 2000000}', 'a part larger than its whole is refused'),
  ('{"output_tokens": null}', 'an estimate without a required count is refused')
) as u (usage, "case");

update spend.tenants set closed_at = now() where id = 'aaaaaaaa-0000-4000-8000-000000000001';
select throws_ok('select pg_temp.reserve(0)', 'PT403', 'tenant_closed', 'A closed tenant cannot reserve');
select is(
  (select array_agg(kind order by kind) from spend.alerts a join spend.cost_quotas q on q.id = a.quota_id
   where q.scope = 'tenant' and q.resource_type = 'llm'),
  array['quota_exceeded', 'quota_warning'], 'Many calls and refusals record one alert at 80 % and one at the limit'
);
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after all calls and refusals');

-- No decision: the quota refuses the call under its locks, and spend_private.refusal finds no reason.
update spend.tenants set closed_at = null where id = 'aaaaaaaa-0000-4000-8000-000000000001';
create temporary sequence attempt;
create or replace function spend_private.refusal(
  p_quotas spend_private.applicable_quota[], p_call spend_private.call, p_enforce boolean, p_now timestamptz
)
returns spend.reserve_result language plpgsql stable as $$
declare
  v_answer spend.reserve_result;
begin
  if nextval('pg_temp.attempt') > 1000 then
    raise exception 'asked without end';
  end if;
  v_answer.allowed := true;
  return v_answer;
end;
$$;
select throws_ok(
  'select pg_temp.reserve(1000)', '55P03', 'no_decision',
  'reserve gives up after 100 attempts when a quota neither holds nor refuses'
);

select * from finish();
rollback;
