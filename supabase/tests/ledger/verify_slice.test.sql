begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(25);

insert into spend.tenants (id, name, time_zone) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A', 'UTC'), ('bbbbbbbb-0000-4000-8000-000000000002', 'B', 'Asia/Kolkata');
insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'all', 'month', 1000);
insert into spend.prices (provider, product, resource_type, meter, usd, effective_from) values
  ('test', 'model', 'llm', 'input_tokens', 1, '2020-01-01'), ('test', 'model', 'llm', 'output_tokens', 1, '2020-01-01');
create function pg_temp.usage(p_tokens bigint) returns jsonb language sql as $$
  select jsonb_build_object('provider', 'test', 'model', 'model', 'input_tokens', p_tokens, 'output_tokens', 0)
$$;
create temp table calls as
select t.id as tenant_id, n, (spend_private.reserve(
  t.id, null, 'llm', pg_temp.usage(1000), p_conversation_id => 'c', p_now => now() - make_interval(hours => n / 3)
)).reservation_id as id
from spend.tenants as t cross join generate_series(1, 30) as n;
select spend.settle(c.id, pg_temp.usage(900)) from calls as c where c.n % 5 <> 0;
alter table spend.cost_events disable trigger keep_event;
-- By the number of the call: ids go on where other files left them.
update spend.cost_events set booked_xid = '3' where reservation_id in (select c.id from calls as c where c.n % 2 = 0);
alter table spend.cost_events enable trigger keep_event;
update spend_private.ledger_state set rolled_up_before = '0';
select spend_private.roll_up();

-- Slices until a cycle ends; how many.
create function pg_temp.cycle(p_max_rows integer, p_now timestamptz default now()) returns integer language plpgsql as $$
declare
  v_slices integer := 0;
begin
  loop
    perform spend_private.verify_slice(p_max_rows, p_now);
    v_slices := v_slices + 1;
    exit when (select s.stage = 'platform' from spend_private.verification_state as s) or v_slices = 500;
  end loop;
  return v_slices;
end;
$$;
create function pg_temp.problems() returns text language sql as $$
  select coalesce(string_agg(distinct split_part(p.subject, ' ', 1), ' ' order by split_part(p.subject, ' ', 1)), 'none')
  from spend.problems as p where p.job = 'verify' and p.resolved_at is null
$$;
-- A whole cycle after a damage, by slices of seven rows, and another one after it is undone.
create function pg_temp.found(p_damage text) returns text language plpgsql as $$
declare
  v_found text;
begin
  execute p_damage;
  perform pg_temp.cycle(7);
  v_found := pg_temp.problems();
  raise exception using errcode = 'SGUND', message = v_found;
exception
  when sqlstate 'SGUND' then
    return sqlerrm;
end;
$$;
select is(pg_temp.cycle(1000), 1, 'One slice of 1,000 rows verifies a small ledger');
select is((select cycle_ended_at from spend_private.verification_state), now(), 'The slice ends a cycle');
select is(pg_temp.problems(), 'none', 'The cycle finds nothing');
select ok(pg_temp.cycle(7) > 10, 'A cycle by slices of seven rows takes more than ten');
select is(pg_temp.problems(), 'none', 'A cycle by slices of seven rows finds nothing');

select is(pg_temp.found(d.damage), d.finds, 'A cycle by slices of seven rows finds: ' || d.what)
from (
  values
    ('delete from spend_private.quota_balances where quota_id = (select min(id) from spend.cost_quotas where tenant_id is not null)', 'quota', 'balances of a quota deleted'),
    ('delete from spend_private.quota_balances where quota_id = (select id from spend.cost_quotas where tenant_id is null)', 'quota', 'balances of the platform deleted'),
    ('update spend_private.quota_balances set quota_id = 999 where quota_id = (select id from spend.cost_quotas where tenant_id is null)', 'quota', 'a balance of no quota'),
    ('update spend_private.quota_balances set period_end = period_end + interval ''1 hour'' where quota_id = (select min(id) from spend.cost_quotas where tenant_id is not null)', 'quota', 'a period that ends late'),
    ('update spend.reservations set actual_cost_usd = 7 where id = (select id from calls where n = 29 and tenant_id = ''bbbbbbbb-0000-4000-8000-000000000002'')', 'reservation', 'a reservation that says another cost'),
    ('delete from spend.reservations where id = (select id from calls where n = 29 and tenant_id = ''bbbbbbbb-0000-4000-8000-000000000002'')', 'reservation', 'a reservation that is gone'),
    ('update spend.reservations set holds = holds[2:] where id = (select id from calls where n = 30 and tenant_id = ''bbbbbbbb-0000-4000-8000-000000000002'')', 'quota reservation', 'a reservation that not all of its quotas hold'),
    ('update spend_private.conversation_rollups set cost_usd = cost_usd + 1 where hour = (select max(hour) from spend_private.conversation_rollups where tenant_id = ''bbbbbbbb-0000-4000-8000-000000000002'')', 'rollups', 'a conversation''s roll-up'),
    ('update spend_private.cost_rollups set tenant_id = ''cccccccc-0000-4000-8000-000000000003'' where tenant_id = ''bbbbbbbb-0000-4000-8000-000000000002'' and hour = (select max(hour) from spend_private.cost_rollups where tenant_id = ''bbbbbbbb-0000-4000-8000-000000000002'')', 'rollups', 'a roll-up that went to no tenant: the balances, which do not follow from it either, are not blamed'),
    ('insert into spend_private.conversation_rollups select (jsonb_populate_record(r, ''{"tenant_id": "abababab-0000-4000-8000-000000000003"}'')).* from spend_private.conversation_rollups as r where r.tenant_id = ''bbbbbbbb-0000-4000-8000-000000000002'' limit 1', 'rollups', 'a roll-up of a tenant that nothing else has, between two others'),
    ('update spend_private.ledger_state set rolled_up_before = (rolled_up_before::text::bigint + 1000)::text::xid8', 'ledger_state rollups', 'the mark')
) as d (damage, finds, what);

-- Found, told once, and closed when it is right again
update spend.reservations set actual_cost_usd = actual_cost_usd + 1 where id = (select id from calls where n = 29 and tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002');
select pg_temp.cycle(7);
select pg_temp.cycle(7);
select results_eq(
  $$ select p.subject, p.message, p.times, p.details ->> 'tenant_id' from spend.problems as p where p.job = 'verify' $$,
  $$ select 'reservation ' || c.tenant_id || '/' || c.id, 'actual_cost_usd is 1.000900000000 and should be 0.000900000000 (1 in all)', 2::bigint, c.tenant_id::text
     from calls as c where c.n = 29 and c.tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002' $$,
  'A wrong reservation is one problem, counted in each cycle'
);
select is((select count(*) from spend.alerts where kind = 'verification_failed'), 1::bigint, 'A problem that stays open records one alert');
select spend_private.verify_slice(1);
select is(pg_temp.problems(), 'reservation', 'A problem stays open while the reservation is wrong');
update spend.reservations set actual_cost_usd = actual_cost_usd - 1 where id = (select id from calls where n = 29 and tenant_id = 'bbbbbbbb-0000-4000-8000-000000000002');
select spend_private.verify_slice(1);
select is(pg_temp.problems(), 'none', 'The next slice resolves the problem once the reservation is right');
update spend_private.quota_balances set spent_usd = spent_usd + 1 where slot = 0 and quota_id = (select min(id) from spend.cost_quotas where tenant_id is not null);
select pg_temp.cycle(1000), pg_temp.cycle(1000);
select is(pg_temp.problems(), 'quota', 'A balance that has too much spent is a problem');
select spend.rebuild_balances((select min(id) from spend.cost_quotas where tenant_id is not null));
select spend_private.verify_slice(1);
select is(pg_temp.problems(), 'none', 'The problem is resolved when the balances are rebuilt');
select is((spend.maintain(job => 'verify')) ? 'verify', true, 'spend.maintain() runs verification');
update spend_private.cost_rollups set cost_usd = cost_usd + 1;
update spend.reservations set actual_cost_usd = actual_cost_usd + 1 where status = 'settled';
select pg_temp.cycle(1000), pg_temp.cycle(1000);
select ok((select count(*) from spend.problems where job = 'verify' and resolved_at is null) between 20 and 110, 'Much damage makes no more than some hundred problems');
select cmp_ok((select count(*) from spend.verify_balances()), '>', 50::bigint, 'verify_balances finds all of the damage');
select * from finish();
rollback;
