begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(22);
\ir ../support/test_model.psql

-- a is a member of A, b its owner, c the owner of B.
insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b'),
  ('00000000-0000-4000-8000-00000000000c');
insert into spend.tenants (id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A'), ('bbbbbbbb-0000-4000-8000-000000000002', 'B');
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'member'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'owner'),
  ('bbbbbbbb-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000c', 'owner');
delete from spend.cost_quotas;
insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
values ('tenant', 'aaaaaaaa-0000-4000-8000-000000000001', 'llm', 'lifetime', 5);

create function pg_temp.reserve(
  p_usd numeric, p_user text default 'a', p_key text default null, p_now timestamptz default '2026-03-01 10:20Z',
  p_enforce boolean default true
)
returns spend.reserve_result language sql as $$
  select spend_private.reserve(
    'aaaaaaaa-0000-4000-8000-000000000001', ('00000000-0000-4000-8000-00000000000' || p_user)::uuid, 'llm',
    pg_temp.usage(p_usd), p_idempotency_key => p_key, p_enforce => p_enforce, p_now => p_now
  )
$$;
create function pg_temp.counts() returns table (hour timestamptz, u text, reason text, refusals bigint) language sql as $$
  select r.hour, right(r.user_id::text, 1), r.reason, r.refusals from spend.refusals_by_hour as r
$$;
-- How many refusals somebody sees.
create function pg_temp.seen_by(p_user text) returns numeric language plpgsql as $$
declare
  v_seen numeric;
begin
  perform set_config('request.jwt.claim.sub', '00000000-0000-4000-8000-00000000000' || p_user, true);
  perform set_config('role', 'authenticated', true);
  select coalesce(sum(r.refusals), 0) into v_seen from spend.refusals_by_hour as r;
  perform set_config('role', 'none', true);
  return v_seen;
end;
$$;

-- What is counted
select pg_temp.reserve(6);
select pg_temp.reserve(7, p_now => '2026-03-01 10:59:59Z');
select pg_temp.reserve(7, p_now => '2026-03-01 11:00Z');
select pg_temp.reserve(6, 'b', 'key');
select pg_temp.reserve(6, 'b', 'key');
select set_eq(
  'select * from pg_temp.counts()',
  $$ values
    ('2026-03-01 10:00Z'::timestamptz, 'a', 'exceeds_limit', 2::bigint),
    ('2026-03-01 11:00Z', 'a', 'exceeds_limit', 1), ('2026-03-01 10:00Z', 'b', 'exceeds_limit', 1) $$,
  'refusals_by_hour counts refusals by hour, user and reason, and a retry with the same key once'
);
select results_eq(
  $$ select first_at, last_at, last_estimated_cost_usd, last_limit_usd, scope from spend.refusals_by_hour where hour = '2026-03-01 10:00Z' and refusals = 2 $$,
  $$ values ('2026-03-01 10:20Z'::timestamptz, '2026-03-01 10:59:59Z'::timestamptz, 7::numeric, 5::numeric, 'tenant') $$,
  'refusals_by_hour has the first and the last time, and the last estimate and limit'
);
create temporary table held as select * from pg_temp.reserve(4);
select is((select allowed from held), true, 'A call holds $4 of $5');
select pg_temp.reserve(2);
select is((spend_private.extend((select reservation_id from held), pg_temp.usage(5.5), p_now => '2026-03-01 10:30Z')).allowed, false, 'An extension to $5.50 is refused by a quota of $5');
select set_eq(
  $$ select refusals, last_estimated_cost_usd from spend.refusals_by_hour where reason = 'in_flight' $$,
  $$ values (2::bigint, 1.5::numeric) $$,
  'A refused call and a refused extension count as in_flight, the extension with what it adds'
);
select is((spend.check_quota('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'llm', pg_temp.usage(6))).allowed, false, 'check_quota would refuse a call of $6');
select is((pg_temp.reserve(6, p_enforce => false)).allowed, true, 'A call of $6 that is not enforced is held');
select is((select sum(refusals) from spend.refusals_by_hour), 6::numeric, 'Neither a check nor a call that is not enforced counts as a refusal');

-- Who reads it
select is(pg_temp.seen_by('a'), 5::numeric, 'A member reads the refusals of his own calls');
select is(pg_temp.seen_by('b'), 6::numeric, 'An owner reads all refusals of the tenant');
select is(pg_temp.seen_by('c'), 0::numeric, 'An owner of another tenant reads none');
insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'all', 'month', 1);
delete from spend.cost_quotas where scope = 'tenant';
select pg_temp.reserve(2);
select results_eq(
  $$ select refusals, last_limit_usd from spend.refusals_by_hour where scope = 'platform' $$,
  $$ values (1::bigint, null::numeric) $$,
  'A refusal by the platform does not show the platform''s limit'
);
select is((select sum(refusals) from spend.refusals_by_hour where scope = 'tenant'), 6::numeric, 'Refusals of a quota are kept when the quota is deleted');

-- Upkeep
delete from spend.refusal_counts;
insert into spend.refusal_counts (tenant_id, hour, quota_id, user_id, reason, part, scope, refusals, first_at, last_at, last_estimated_cost_usd, last_limit_usd)
select
  'aaaaaaaa-0000-4000-8000-000000000001', h.hour, 1, h.usr, 'in_flight', p.part, 'tenant', p.part + 1,
  h.hour + interval '1 minute' * (10 - p.part), h.hour + interval '1 minute' * (20 + p.part), p.part, p.part
from (values
  (date_trunc('hour', now(), 'UTC') - interval '3 hours', null::uuid),
  (date_trunc('hour', now(), 'UTC') - interval '3 hours', '00000000-0000-4000-8000-00000000000a'),
  (date_trunc('hour', now(), 'UTC'), null)
) as h (hour, usr)
cross join generate_series(0, 2) as p (part)
-- One without its first part.
where not (h.usr is not null and p.part = 0);
create temporary table before as select * from spend.refusals_by_hour;
select is(spend_private.fold_refusals(1), 1::bigint, 'fold_refusals(1) folds one part');
select is(spend.maintain('fold_refusals'), '{"fold_refusals": 3}', 'The job fold_refusals folds the other parts');
select set_eq('select * from spend.refusals_by_hour', 'select * from before', 'refusals_by_hour says the same after folding');
select is((select count(*) from spend.refusal_counts where hour < now() - interval '2 hours'), 2::bigint, 'Folding leaves one row for each user and hour');
select is((select count(*) from spend.refusal_counts where hour > now() - interval '1 hour'), 3::bigint, 'The parts of this hour are not folded');
delete from spend.refusal_counts where part > 0;
update spend.refusal_counts set hour = now() - interval '30 days 1 second' where hour < now() - interval '2 hours' and user_id is null;
update spend.refusal_counts set hour = now() - interval '29 days 23 hours' where user_id is not null;
update spend.settings set keep_refusal_days = 31;
select is(spend.maintain('delete_refusal_counts'), '{"delete_refusal_counts": 0}', 'Counts younger than 31 days are kept with 31 days');
update spend.settings set keep_refusal_days = 30;
select is(spend.maintain('delete_refusal_counts'), '{"delete_refusal_counts": 1}', 'Counts older than 30 days are deleted by default');
update spend.settings set keep_refusal_days = 29;
select is(spend.maintain('delete_refusal_counts'), '{"delete_refusal_counts": 1}', 'Counts older than 29 days are deleted with keep_refusal_days = 29');
select is((select count(*) from spend.refusal_counts), 1::bigint, 'The count of this hour is kept');

select * from finish();
rollback;
