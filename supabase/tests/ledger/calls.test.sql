begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(9);

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
update spend.cost_quotas set limit_usd = 1000000;
insert into spend.prices (provider, product, resource_type, meter, usd, effective_from) values
  ('test', 'model', 'llm', 'input_tokens', 1, '2026-01-01'), ('test', 'model', 'llm', 'output_tokens', 1, '2026-01-01'),
  ('test', 'free', 'llm', 'input_tokens', 0, '2026-01-01'), ('test', 'free', 'llm', 'output_tokens', 0, '2026-01-01');
create temp table calls (id uuid, product text, steps text[], tenant_id uuid default 'aaaaaaaa-0000-4000-8000-000000000001');

create function pg_temp.usage(p_product text, p_tokens bigint) returns jsonb language sql as $$
  select jsonb_build_object('provider', 'test', 'model', p_product, 'input_tokens', p_tokens, 'output_tokens', 0)
$$;
-- A second apart, so that each is repriced alone.
create function pg_temp.reserve(p_product text, p_conversation text, p_number bigint) returns uuid language sql as $$
  select (spend_private.reserve(
    'aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', pg_temp.usage(p_product, 1000000), 'chat',
    p_conversation, p_ttl_seconds => 86400, p_now => now() - make_interval(secs => p_number)
  )).reservation_id
$$;
create function pg_temp.do(p_id uuid, p_product text, p_step text) returns void language plpgsql as $$
begin
  case p_step
    -- Only this one: the others of the same time are held until later.
    when 'expire' then
      update spend.reservations set expires_at = created_at + interval '1 microsecond' where id = p_id and status = 'held';
      perform spend.expire_reservations(10);
    when 'release' then perform spend.release(p_id);
    when 'settle' then perform spend.settle(p_id, pg_temp.usage(p_product, 250000));
    when 'settle unknown' then perform spend.settle(p_id, null);
    when 'settle nothing' then perform spend.settle(p_id, pg_temp.usage(p_product, 0));
    when 'reprice' then
      perform spend.reprice('test', p_product, r.created_at, r.created_at + interval '1 second', false)
      from spend.reservations as r where r.id = p_id;
  end case;
end;
$$;

-- Every sequence of up to three steps, and some longer ones; a model that costs something, and one that costs nothing.
create function pg_temp.sequences() returns setof text[] language sql as $$
  with recursive steps (steps) as (
    select '{}'::text[]
    union all
    select s.steps || n.step
    from steps as s
    cross join unnest(array['expire', 'release', 'settle', 'settle unknown', 'settle nothing', 'reprice']) as n (step)
    where cardinality(s.steps) < 3
  )
  select s.steps from steps as s
  union all
  values
    ('{expire,release,settle,settle,reprice}'::text[]), ('{expire,reprice,release,settle}'),
    ('{release,settle,reprice,settle}'), ('{expire,settle,reprice,settle}'), ('{expire,release,settle nothing,reprice}')
$$;
insert into calls (id, product, steps)
select pg_temp.reserve(p.product, array_to_string(p.product || s.steps, ' '), row_number() over ()), p.product, s.steps
from unnest(array['model', 'free']) as p (product)
cross join pg_temp.sequences() as s (steps);
-- The price was wrong, so that reprice has something to correct.
insert into spend.prices (provider, product, resource_type, meter, usd, effective_from, revision)
values ('test', 'model', 'llm', 'input_tokens', 2, '2026-01-01', 1);
select lives_ok(
  $$ do $do$ declare v_call calls; v_step text; begin
       for v_call in select * from calls loop
         foreach v_step in array v_call.steps loop
           perform pg_temp.do(v_call.id, v_call.product, v_step);
         end loop;
       end loop;
     end $do$ $$,
  'Every sequence of expire, release, settle and reprice runs, up to three of them'
);

create temp table counted as
select c.product, c.steps, r.status, r.actual_cost_usd, e.events, e.calls, e.cost_usd, e.kinds
from calls as c
join spend.reservations as r on r.tenant_id = c.tenant_id and r.id = c.id
cross join lateral (
  select count(*) as events, coalesce(sum(e.calls), 0) as calls, coalesce(sum(e.cost_usd), 0) as cost_usd,
    array_agg(e.kind order by e.id) as kinds
  from spend.cost_events as e
  where e.tenant_id = r.tenant_id and e.occurred_at = r.created_at and e.reservation_id = r.id
) as e;
select is((select count(*) from counted), 528::bigint, 'The sequences make 528 calls');
select is_empty(
  $$ select * from counted as c
     where c.calls <> case when c.status in ('settled', 'expired') then 1 else 0 end $$,
  'Each call that ended booked counts once, and one that is open or was released does not count'
);
select is_empty(
  'select * from counted as c where c.cost_usd <> coalesce(c.actual_cost_usd, 0)', 'Each call costs what its events add up to'
);
select is_empty(
  $$ select * from counted as c
     where c.kinds[1] not in ('charge', 'expiry') or 'charge' = any (c.kinds[2:]) or 'expiry' = any (c.kinds[2:]) $$,
  'The first event of a call is a charge or an expiry, and all that follow are corrections'
);
select is(
  (select array_agg(distinct c.kinds) from counted as c where c.steps = '{expire,release,settle}'),
  array[array['expiry', 'correction', 'correction']], 'A call that expired, was released and settled has an expiry and two corrections, free or not'
);
select is(
  (select array_agg(distinct c.kinds) from counted as c where c.steps = '{release,settle}'), array[array['charge']],
  'A call that was released and settled has one charge'
);
select results_eq(
  $$ select v.what, v.calls from (
       select 'tenant' as what, sum(calls) as calls from spend.spend_by_tenant
       union all select 'day', sum(calls) from spend.spend_by_day
       union all select 'product', sum(calls) from spend.spend_by_product
       union all select 'provider', sum(calls) from spend.spend_by_provider
       union all select 'task', sum(calls) from spend.spend_by_task
       union all select 'user', sum(calls) from spend.spend_by_user
       union all select 'conversation', sum(calls) from spend.spend_by_conversation
       union all select 'cost_report', sum(calls) from spend.cost_report('{conversation}')
     ) as v $$,
  $$ select w.what, (select count(*)::numeric from spend.reservations where status in ('settled', 'expired'))
     from unnest(array['tenant', 'day', 'product', 'provider', 'task', 'user', 'conversation', 'cost_report']) as w (what) $$,
  'Every report counts each call once'
);
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after every sequence');
select * from finish();
rollback;
