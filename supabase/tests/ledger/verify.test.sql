begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(80);

-- Everything that can be damaged: tenants in two time zones, quotas of every period and scope, calls that ended in every way.
insert into auth.users (id) values ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b');
insert into spend.tenants (id, name, time_zone) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A', 'UTC'), ('bbbbbbbb-0000-4000-8000-000000000002', 'B', 'Asia/Kolkata');
insert into spend.tenant_members (tenant_id, user_id, role)
select t.id, u.id, 'member' from spend.tenants as t cross join auth.users as u;
insert into spend.prices (provider, product, resource_type, meter, usd, effective_from) values
  ('test', 'model', 'llm', 'input_tokens', 1, '2020-01-01'), ('test', 'model', 'llm', 'output_tokens', 1, '2020-01-01'),
  ('test', 'other', 'llm', 'input_tokens', 3, '2020-01-01'), ('test', 'other', 'llm', 'output_tokens', 3, '2020-01-01');
insert into spend.cost_quotas (tenant_id, scope, scope_id, resource_type, period, limit_usd, task, product) values
  (null, 'platform', null, 'all', 'month', 1000, null, null),
  ('aaaaaaaa-0000-4000-8000-000000000001', 'tenant', null, 'llm', 'lifetime', 300, null, null),
  ('aaaaaaaa-0000-4000-8000-000000000001', 'tenant', null, 'llm', 'hour', 33.333333333333, null, null),
  ('aaaaaaaa-0000-4000-8000-000000000001', 'tenant', null, 'llm', 'day', 50, 'chat', 'model'),
  ('aaaaaaaa-0000-4000-8000-000000000001', 'user', '00000000-0000-4000-8000-00000000000a', 'llm', 'week', 20, null, null),
  ('bbbbbbbb-0000-4000-8000-000000000002', 'tenant', null, 'llm', 'hour', 40, null, null),
  ('bbbbbbbb-0000-4000-8000-000000000002', 'user', '00000000-0000-4000-8000-00000000000b', 'all', 'day', 9.999999999999, null, null);
-- One that is over its limit, and refuses nothing.
insert into spend.cost_quotas (tenant_id, scope, scope_id, resource_type, period, limit_usd, enforcement)
values ('bbbbbbbb-0000-4000-8000-000000000002', 'tenant', null, 'all', 'day', 0.5, 'observe');

create function pg_temp.usage(p_product text, p_tokens bigint) returns jsonb language sql as $$
  select jsonb_build_object('provider', 'test', 'model', p_product, 'input_tokens', p_tokens, 'output_tokens', 0)
$$;
create function pg_temp.call(
  p_tenant text, p_user text, p_end text, p_ago interval default '0', p_product text default 'model', p_task text default 'chat',
  p_conversation text default 'c'
) returns uuid language plpgsql as $$
declare
  v_id uuid := (spend_private.reserve(
    (select t.id from spend.tenants as t where t.name = p_tenant), ('00000000-0000-4000-8000-00000000000' || p_user)::uuid, 'llm',
    pg_temp.usage(p_product, 500000), p_task, p_conversation, p_ttl_seconds => case p_end when 'expired' then 1 else 604800 end,
    p_enforce => false, p_now => now() - p_ago
  )).reservation_id;
begin
  case p_end
    when 'settled' then perform spend.settle(v_id, pg_temp.usage(p_product, 333333));
    when 'above' then perform spend.settle(v_id, pg_temp.usage(p_product, 600000));
    when 'released' then perform spend.release(v_id);
    when 'expired' then perform spend_private.expire_reservations(1000, now() - p_ago + interval '2 seconds');
    else null;
  end case;
  return v_id;
end;
$$;
select pg_temp.call(t, u, e, a, p, k)
from unnest(array['A', 'B']) as t, unnest(array['a', 'b', null]) as u,
  unnest(array['settled', 'above', 'released', 'expired', 'held']) as e,
  unnest(array['0'::interval, '31 minutes', '26 hours', '40 days']) as a,
  (values ('model', 'chat'), ('other', 'agent')) as n (p, k)
where e <> 'held' or a < '1 day';
select spend.adjust((select id from spend.tenants where name = 'A'), -0.123456789012, 'credit');
-- Half of what is booked is rolled up.
alter table spend.cost_events disable trigger keep_event;
update spend.cost_events set booked_xid = '3' where (id - (select min(e.id) from spend.cost_events as e)) % 2 = 1;
alter table spend.cost_events enable trigger keep_event;
update spend_private.ledger_state set rolled_up_before = '0';
select spend_private.roll_up();

-- What is found after a damage that is undone again.
create function pg_temp.found(p_damage text) returns text language plpgsql as $$
declare
  v_found text;
begin
  execute p_damage;
  select coalesce(string_agg(distinct v.column_name, ' ' order by v.column_name), 'nothing') into v_found from spend.verify_balances() as v;
  raise exception using errcode = 'SGUND', message = v_found;
exception
  when sqlstate 'SGUND' then
    return sqlerrm;
end;
$$;
create function pg_temp.quota(p_tenant text, p_period text, p_task text default null, p_scope text default 'tenant') returns bigint language sql as $$
  select q.id from spend.cost_quotas as q join spend.tenants as t on t.id = q.tenant_id
  where t.name = p_tenant and q.period = p_period and q.task is not distinct from p_task and q.scope = p_scope and q.enforcement = 'block' and q.resource_type <> 'e2b'
  order by q.id limit 1
$$;
create function pg_temp.call_of(p_status text) returns uuid language sql as $$
  select r.id from spend.reservations as r where r.status = p_status and r.actual_cost_usd is distinct from 0 order by r.id limit 1
$$;
select ok((select count(*) from spend.cost_events) > 100, 'The ledger has more than a hundred events');
select is_empty('select * from spend.verify_balances()', 'verify_balances finds nothing in a ledger that nobody damaged');
select is(
  (select count(distinct is_below_threshold::text || is_split::text) from spend_private.quota_balances), 2::bigint,
  'Some balances are calm and split, and some are over their limit'
);

-- Balances
select is(pg_temp.found('delete from spend_private.quota_balances'), 'reserved_usd spent_usd', 'verify_balances finds that all balances are deleted');
select is(
  pg_temp.found($$ update spend.reservations set status = 'released', actual_cost_usd = 0, ended_at = now() where status = 'held';
    delete from spend_private.quota_balances $$), 'spent_usd', 'verify_balances finds that all balances are deleted when nothing is held'
);
select is(pg_temp.found(format(d.damage, d.quota)), d.finds, 'verify_balances finds: ' || d.what || ': ' || d.damage)
from (
  values
    (pg_temp.quota('A', 'month'), 'delete from spend_private.quota_balances where quota_id = %s', 'reserved_usd spent_usd', 'the balances of one quota'),
    (pg_temp.quota('A', 'week', p_scope => 'user'), 'delete from spend_private.quota_balances where quota_id = %s', 'reserved_usd spent_usd', 'the balances of a user''s quota'),
    (pg_temp.quota('A', 'lifetime'), 'delete from spend_private.quota_balances where quota_id = %s', 'reserved_usd spent_usd', 'the balances of a lifetime quota'),
    (pg_temp.quota('A', 'day', 'chat'), 'delete from spend_private.quota_balances where quota_id = %s', 'reserved_usd spent_usd', 'the balances of a quota of one task and product'),
    (pg_temp.quota('A', 'month'), 'delete from spend_private.quota_balances where quota_id = %1$s and period_end > now() and slot = (select max(o.slot) from spend_private.quota_balances as o where o.quota_id = %1$s and o.period_end > now() and o.spent_usd = 0 and o.reserved_usd = 0)', 'allotted_usd slots', 'a slot that is not in use'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set spent_usd = spent_usd + 0.000000000001 where quota_id = %s and slot = 0 and period_end > now()', 'spent_usd', 'a balance that is off by a millionth of a millionth'),
    (pg_temp.quota('B', 'hour'), 'update spend_private.quota_balances set spent_usd = spent_usd - 1 where quota_id = %s and period_end < now()', 'spent_usd', 'a wrong balance of a period that ended'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set reserved_usd = reserved_usd + 0.000000000001 where quota_id = %s and slot = 0 and period_end > now()', 'reserved_usd', 'a balance that holds more'),
    (pg_temp.quota('A', 'lifetime'), 'update spend_private.quota_balances set reserved_usd = case slot when (select (min(o.slot) + 1) %% 8 from spend_private.quota_balances as o where o.quota_id = %1$s and o.reserved_usd > 0) then (select sum(reserved_usd) from spend_private.quota_balances where quota_id = %1$s) else 0 end where quota_id = %1$s', 'reserved_usd', 'a balance that holds in another slot'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set allotted_usd = allotted_usd + 1 where quota_id = %s and slot = 0 and period_end > now()', 'allotted_usd', 'a balance that is allotted more'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set allotted_usd = allotted_usd - 0.000000000001 where quota_id = %s and slot = 1 and period_end > now()', 'allotted_usd', 'a balance that is allotted less'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set period_start = period_start - interval ''1 hour'', period_end = period_end - interval ''1 hour'' where quota_id = %s and period_end > now()', 'period_end period_start reserved_usd spent_usd', 'a period that begins an hour earlier'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set period_end = period_end - interval ''1 hour'' where quota_id = %s and period_end > now()', 'period_end', 'a period that ends early'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set period_end = period_end + interval ''1 day'' where quota_id = %s and period_end > now() and slot = 3', 'period_end', 'a period that ends late in one slot'),
    (pg_temp.quota('B', 'hour'), 'update spend_private.quota_balances set period_end = period_end + interval ''1 year'' where quota_id = %s and period_end < now()', 'period_end', 'an old period that ends late'),
    (pg_temp.quota('A', 'lifetime'), 'update spend_private.quota_balances set period_end = now() + interval ''1 day'' where quota_id = %s', 'period_end', 'a lifetime that ends'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set period_start = ''-infinity'' where quota_id = %s and period_end > now()', 'period_start reserved_usd spent_usd', 'a month without a beginning'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set tenant_id = ''bbbbbbbb-0000-4000-8000-000000000002'' where quota_id = %s and slot = 2 and period_end > now()', 'tenant_id', 'a balance of another tenant'),
    (pg_temp.quota('A', 'month'), 'insert into spend_private.quota_balances (quota_id, period_start, slot, tenant_id, period_end, allotted_usd) select 999999, period_start, 0, tenant_id, period_end, 0 from spend_private.quota_balances where quota_id = %s and slot = 0', 'quota_id', 'a balance of no quota'),
    ((select q.id from spend.cost_quotas as q where q.enforcement = 'observe'), 'update spend_private.quota_balances set is_below_threshold = true where quota_id = %s and period_end > now()', 'allotted_usd is_below_threshold', 'a balance that is calm above the threshold'),
    ((select q.id from spend.cost_quotas as q where q.enforcement = 'observe'), 'update spend_private.quota_balances as b set is_below_threshold = true, allotted_usd = allotted_usd - case slot when 0 then (select sum(o.allotted_usd) - spend_private.allotment_usd(q, true) from spend_private.quota_balances as o join spend.cost_quotas as q on q.id = o.quota_id where o.quota_id = b.quota_id and o.period_end = b.period_end group by q.*) else 0 end where quota_id = %s and period_end > now()', 'is_below_threshold', 'a balance that is calm above the threshold, and allotted so'),
    ((select q.id from spend.cost_quotas as q where q.enforcement = 'observe'), 'update spend_private.quota_balances set is_split = true where quota_id = %s and period_end > now()', 'is_split', 'a balance that is split above the limit'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set is_below_threshold = not is_below_threshold where quota_id = %s and slot = 1 and period_end > now()', 'allotted_usd is_below_threshold', 'a balance that is calm in one slot alone'),
    (pg_temp.quota('A', 'month'), 'update spend_private.quota_balances set is_split = not is_split where quota_id = %s and slot = 1 and period_end > now()', 'is_split', 'a balance that is split in one slot alone')
) as d (quota, damage, finds, what);
select is(
  pg_temp.found(format('delete from spend_private.quota_balances where quota_id = %s', (select id from spend.cost_quotas where scope = 'platform'))),
  'reserved_usd spent_usd', 'verify_balances finds that the balances of the platform are deleted'
);
select is(
  pg_temp.found($$ delete from spend_private.quota_balances where period_end > now();
    do $do$ begin perform spend_private.open_balances(q.id) from spend.cost_quotas as q; end $do$ $$),
  pg_temp.found('select'), 'Balances that are lost and opened again have what is spent and what is held'
);

-- Reservations and events
create function pg_temp.event(p_id uuid, p_usd numeric, p_calls integer, p_kind text default 'charge') returns void language sql as $$
  insert into spend.cost_events (tenant_id, occurred_at, kind, reservation_id, user_id, task, resource_type, provider, product, cost_usd, calls)
  select r.tenant_id, r.created_at, p_kind, r.id, r.user_id, r.task, r.resource_type, r.provider, r.product, p_usd, p_calls
  from spend.reservations as r where r.id = p_id
$$;
create function pg_temp.delete_events(p_id uuid) returns void language plpgsql as $$
begin
  perform set_config('spend.retention', 'on', true);
  delete from spend.cost_events where reservation_id = p_id;
  perform set_config('spend.retention', 'off', true);
end;
$$;
select is(pg_temp.found(format(d.damage, coalesce(d.id, pg_temp.call_of('settled')))), d.finds, 'verify_balances finds: ' || d.what)
from (
  values
    (null, 'update spend.reservations set actual_cost_usd = actual_cost_usd + 7 where id = %L', 'actual_cost_usd', 'a reservation that says another cost'),
    (null, 'update spend.reservations set status = ''released'', actual_cost_usd = 0 where id = %L', 'actual_cost_usd calls', 'a reservation that says it was released'),
    (pg_temp.call_of('expired'), 'update spend.reservations set actual_cost_usd = 0, status = ''released'' where id = %L', 'actual_cost_usd calls', 'an expired reservation that says it was released'),
    ((select r.id from spend.reservations as r where r.status = 'released' order by r.id limit 1), 'update spend.reservations set status = ''settled'' where id = %L', 'calls', 'a released reservation that says it was settled'),
    (null, 'update spend.reservations set created_at = created_at - interval ''1 microsecond'' where id = %L', 'actual_cost_usd calls reservation_id', 'a reservation made at another time than its event says'),
    (null, 'delete from spend.reservations where id = %L', 'reservation_id', 'a settled reservation that was deleted'),
    (pg_temp.call_of('held'), 'set local session_replication_role = replica; delete from spend.reservations where id = %L; set local session_replication_role = origin', 'reserved_usd', 'an open reservation that was deleted'),
    (null, 'select pg_temp.event(%L, 1, 1)', 'actual_cost_usd calls spent_usd', 'a second charge'),
    (null, 'select pg_temp.event(%L, 0, 1)', 'calls', 'a second charge of nothing'),
    (null, 'select pg_temp.event(%1$L, 1, 0); update spend.reservations set actual_cost_usd = actual_cost_usd + 1 where id = %1$L', 'charges spent_usd', 'a second charge that the reservation knows of'),
    (null, 'select pg_temp.event(%L, 1, 1); select spend.rebuild_balances(id) from spend.cost_quotas', 'actual_cost_usd calls', 'a second charge that the balances know of'),
    (pg_temp.call_of('held'), 'select pg_temp.event(%L, 0, 0)', 'status', 'an open call with an event'),
    (pg_temp.call_of('held'), 'select pg_temp.event(%L, 0.25, 1)', 'actual_cost_usd calls spent_usd status', 'an open call with a charge'),
    (null, 'select pg_temp.delete_events(%L)', 'actual_cost_usd calls spent_usd', 'an event that was deleted'),
    (pg_temp.call_of('held'), 'update spend.reservations set holds = ''{}'' where id = %L', 'holds reserved_usd', 'an open call that holds nothing'),
    (pg_temp.call_of('held'), 'update spend.reservations set holds = holds[2:] where id = %L', 'holds reserved_usd', 'an open call that holds nothing in one quota'),
    (pg_temp.call_of('held'), 'update spend.reservations as r set holds = holds[2:] where r.id = %1$L; update spend_private.quota_balances as b set reserved_usd = reserved_usd + w.ledger_usd - w.balance_usd from spend.verify_balances() as w where w.column_name = ''reserved_usd'' and w.quota_id = b.quota_id and w.period_start = b.period_start and w.subject = ''quota '' || b.quota_id || '' slot '' || b.slot', 'holds', 'an open call that holds nothing in one quota, and its balance neither'),
    (pg_temp.call_of('held'), 'update spend.reservations set estimated_cost_usd = estimated_cost_usd + 0.1 where id = %L', 'reserved_usd', 'an open call that holds more')
) as d (id, damage, finds, what);

-- Roll-ups and their mark
select is(pg_temp.found(d.damage), d.finds, 'verify_balances finds: ' || d.what)
from (
  values
    ('update spend_private.cost_rollups set cost_usd = cost_usd + 1 where ctid = (select min(ctid) from spend_private.cost_rollups)', 'cost_rollups.cost_usd', 'a roll-up that says more'),
    ('update spend_private.cost_rollups set calls = calls + 1 where ctid = (select min(ctid) from spend_private.cost_rollups)', 'cost_rollups.calls', 'a roll-up that has more calls'),
    ('delete from spend_private.cost_rollups', 'cost_rollups.calls cost_rollups.cost_usd', 'roll-ups deleted'),
    ('update spend_private.cost_rollups set hour = hour - interval ''1 day''', 'cost_rollups.calls cost_rollups.cost_usd', 'a roll-up moved to another hour'),
    ('update spend_private.cost_rollups set user_id = gen_random_uuid() where user_id is not null', 'cost_rollups.calls cost_rollups.cost_usd', 'a roll-up moved to another user'),
    ('update spend_private.cost_rollups set tenant_id = gen_random_uuid() where tenant_id = (select id from spend.tenants where name = ''A'')', 'cost_rollups.calls cost_rollups.cost_usd', 'a roll-up moved to no tenant'),
    ('update spend_private.conversation_rollups set cost_usd = cost_usd + 1', 'conversation_rollups.cost_usd', 'a conversation that cost more'),
    ('delete from spend_private.conversation_rollups', 'conversation_rollups.calls conversation_rollups.cost_usd', 'roll-ups by conversation deleted'),
    ('update spend_private.conversation_rollups set conversation_id = ''other''', 'conversation_rollups.calls conversation_rollups.cost_usd', 'a roll-up moved to another conversation'),
    ('update spend_private.ledger_state set rolled_up_before = ''0''', 'conversation_rollups.calls conversation_rollups.cost_usd cost_rollups.calls cost_rollups.cost_usd', 'the mark moved back'),
    ('update spend_private.ledger_state set rolled_up_before = (rolled_up_before::text::bigint + 1000)::text::xid8', 'conversation_rollups.calls conversation_rollups.cost_usd cost_rollups.calls cost_rollups.cost_usd rolled_up_before', 'the mark moved ahead'),
    ('delete from spend_private.ledger_state', 'rows', 'the mark deleted')
) as d (damage, finds, what);

-- No false alarm
select is(pg_temp.found(d.change), 'nothing', 'verify_balances finds nothing after: ' || d.what)
from (
  values
    ('update spend.cost_quotas set limit_usd = 33.333333333333, warning_threshold = 0.777', 'limits of twelve decimals, and a threshold of three'),
    ('update spend.cost_quotas set limit_usd = 0.000000000001', 'limits below what is used'),
    ('update spend.cost_quotas set limit_usd = 0', 'limits of nothing'),
    ('update spend.cost_quotas set slots = 3', 'fewer slots'), ('update spend.cost_quotas set slots = 17', 'more slots'),
    ('update spend.cost_quotas set resource_type = ''e2b'' where resource_type = ''llm'' and task is null and period <> ''month''', 'other resource types'),
    ('update spend.cost_quotas set period = case period when ''day'' then ''week'' when ''hour'' then ''lifetime'' else ''day'' end where enforcement = ''block'' and scope = ''user''', 'other periods'),
    ('update spend.tenants set time_zone = ''Pacific/Chatham''', 'another time zone'),
    ('update spend.tenants set time_zone = ''Asia/Kathmandu''; update spend.tenants set time_zone = ''UTC''', 'a time zone that is changed back'),
    ('delete from spend.cost_quotas where period = ''month''', 'quotas deleted under open holds'),
    ('insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values (''platform'', ''llm'', ''day'', 7)', 'a new quota'),
    ('update spend.reservations set expires_at = created_at + interval ''1 second''; select spend_private.expire_reservations(10000, now() + interval ''1 minute'')', 'all open calls expired'),
    ('select spend.release(r.id) from spend.reservations as r', 'all open calls released'),
    ('select spend.settle(r.id, pg_temp.usage(r.product, 777777)) from spend.reservations as r', 'all open calls settled'),
    ('select spend_private.roll_up()', 'rolled up'), ('select spend.maintain()', 'maintenance'),
    ('select spend_private.adopt_ledger()', 'quotas that are adopted'),
    ('select spend_private.drop_months(1, now() + interval ''1 second'')', 'months that are dropped'),
    ('update spend_private.ledger_state set reservations_kept_from = now(); delete from spend.reservations where created_at < now() - interval ''1 day''', 'old reservations deleted by retention')
) as d (change, what);
select * from finish();
rollback;
