begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(8);

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');

create function pg_temp.book(p_xid xid8, p_kind text, p_resource_type text, p_usd numeric) returns void language sql as $$
  insert into spend.cost_events (
    tenant_id, occurred_at, booked_xid, kind, reservation_id, resource_type, provider, product, cost_usd, calls
  )
  values (
    'aaaaaaaa-0000-4000-8000-000000000001', now(), p_xid, p_kind,
    case when p_kind <> 'adjustment' then gen_random_uuid() end, p_resource_type, 'test', 'model', p_usd, 0
  )
$$;
create function pg_temp.totals() returns text language sql as $$
  select string_agg(concat_ws(' ', t.resource_type, t.booking, trim_scale(t.usd)), ', ' order by t.resource_type, t.booking)
  from spend.ledger_totals() as t
$$;

update spend_private.ledger_state set rolled_up_before = '3';
select is(pg_temp.totals(), 'e2b charge 0, e2b credit 0, llm charge 0, llm credit 0', 'Of an empty ledger there are four totals of 0');

-- Of transactions that ended, and of this one, which has not.
select pg_temp.book('3', 'charge', 'llm', 5);
select pg_temp.book('5', 'charge', 'e2b', 2);
select pg_temp.book('5', 'correction', 'llm', -0.5);
select pg_temp.book('7', 'expiry', 'llm', 3);
select pg_temp.book('7', 'adjustment', 'e2b', -1.000000000001);
select pg_temp.book(pg_current_xact_id(), 'charge', 'llm', 8);

select spend_private.roll_up(1);
select is(pg_temp.totals(), 'e2b charge 0, e2b credit 0, llm charge 5, llm credit 0', 'A batch of one event adds its transaction');
select spend_private.roll_up(1);
select is(pg_temp.totals(), 'e2b charge 2, e2b credit 0, llm charge 5, llm credit 0.5', 'The next adds both events of the next one: what takes from spend is a credit');
select spend_private.roll_up();
select is(
  pg_temp.totals(), 'e2b charge 2, e2b credit 1.000000000001, llm charge 8, llm credit 0.5',
  'Expiries and adjustments count, to the last place; what a running transaction booked does not yet'
);
select spend_private.roll_up();
select is(
  pg_temp.totals(), 'e2b charge 2, e2b credit 1.000000000001, llm charge 8, llm credit 0.5',
  'Another run adds nothing'
);

-- As after a restore into another server.
update spend_private.ledger_state set cluster_id = 1;
select spend_private.roll_up();
select is(
  pg_temp.totals(), 'e2b charge 2, e2b credit 1.000000000001, llm charge 16, llm credit 0.5',
  'A restored ledger goes on: what was not counted is, and nothing twice'
);
select spend_private.roll_up();
select results_eq(
  $$
    select t.resource_type, sum(case t.booking when 'charge' then t.usd else -t.usd end)
    from spend.ledger_totals() as t group by 1 order by 1
  $$,
  'select e.resource_type, sum(e.cost_usd) from spend.cost_events as e group by 1 order by 1',
  'Charges less credits are the ledger''s sum, by resource type'
);

-- Roll-ups are rebuilt from the ledger, totals never are.
select spend_private.rebuild_rollups('aaaaaaaa-0000-4000-8000-000000000001');
select is(
  pg_temp.totals(), 'e2b charge 2, e2b credit 1.000000000001, llm charge 16, llm credit 0.5',
  'Rebuilding a tenant''s roll-ups counts nothing again'
);

select * from finish();
rollback;
