begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(28);

create function pg_temp.wrong_products() returns setof text language sql as $$
  select k.provider || '/' || k.product
  from (
    select p.provider, p.product from spend.prices as p union select b.provider, b.product from spend_private.price_book as b
  ) as k
  where exists (select from spend_private.wrong_price_book(k.provider, k.product))
$$;
-- The moments and prices of input that the book has for a product, in all service tiers: "2026-01-01 1".
create function pg_temp.booked(p_product text) returns setof text language sql as $$
  select concat_ws(' ', (b.valid_from at time zone 'UTC')::date, nullif(b.service_tier, 'standard'), trim_scale(l.usd))
  from spend_private.price_book as b
  cross join lateral unnest(b.lines) as l
  where b.provider = 'test' and b.product = p_product and l.meter = 'input_tokens'
$$;

select cmp_ok((select count(*) from spend_private.price_book), '>', 1000::bigint, 'The catalogue is in the book');
select is_empty($$ select pg_temp.wrong_products() $$, 'The book says of the whole catalogue what its prices say');

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.prices (resource_type, provider, product, meter, usd, tier_from, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, 0, '2026-01-01'),
  ('llm', 'test', 'model', 'input_tokens', 4, 1000, '2026-01-01'),
  ('llm', 'test', 'model', 'cache_read_tokens', 0.1, 0, '2026-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 2, 0, '2026-01-01'),
  ('llm', 'test', 'model', 'output_tokens', 3, 0, '2040-01-01');
select results_eq(
  $$ select l.meter, trim_scale(l.usd)
     from spend_private.price_book as b cross join lateral unnest(b.lines) with ordinality as l
     where b.provider = 'test' and b.valid_from = '2026-01-01' order by l.ordinality $$,
  $$ values ('cache_read_tokens', 0.1), ('input_tokens', 4.0), ('input_tokens', 1.0), ('output_tokens', 2.0) $$,
  'A row has the parts before their whole, and the highest tier first'
);
select set_eq(
  $$ select pg_temp.booked('model') $$, array['2026-01-01 4', '2026-01-01 1', '2040-01-01 4', '2040-01-01 1'],
  'A future price of one meter makes a row of all from then on'
);

update spend.prices set usd = 1.5 where provider = 'test' and meter = 'input_tokens' and tier_from = 0;
select set_eq(
  $$ select pg_temp.booked('model') $$, array['2026-01-01 4', '2026-01-01 1.5', '2040-01-01 4', '2040-01-01 1.5'],
  'A changed price is changed in every row that has it'
);
update spend.prices set effective_from = '2041-01-01' where provider = 'test' and effective_from = '2040-01-01';
select set_eq(
  $$ select pg_temp.booked('model') $$, array['2026-01-01 4', '2026-01-01 1.5', '2041-01-01 4', '2041-01-01 1.5'],
  'A price that is put off takes its row along'
);
update spend.prices set product = 'other' where provider = 'test';
select is_empty($$ select pg_temp.booked('model') $$, 'A product whose prices go to another has no row');
select set_eq(
  $$ select pg_temp.booked('other') $$, array['2026-01-01 4', '2026-01-01 1.5', '2041-01-01 4', '2041-01-01 1.5'],
  '… and the other has them'
);
delete from spend.prices where provider = 'test' and effective_from = '2041-01-01';
select set_eq(
  $$ select pg_temp.booked('other') $$, array['2026-01-01 4', '2026-01-01 1.5'],
  'A price that is deleted takes its row along'
);
merge into spend.prices as p
using (values ('output_tokens', null), ('input_tokens', 7), ('reasoning_tokens', 9)) as n (meter, usd)
on p.provider = 'test' and p.meter = n.meter and p.tier_from = 0
when matched and n.usd is null then delete
when matched then update set usd = n.usd
when not matched then insert (resource_type, provider, product, meter, usd, effective_from)
  values ('llm', 'test', 'other', n.meter, n.usd, '2026-02-01');
select set_eq(
  $$ select pg_temp.booked('other') $$,
  array['2026-01-01 4', '2026-01-01 7', '2026-02-01 4', '2026-02-01 7'], 'MERGE inserts, changes and deletes'
);
select is(spend.add_service_tier('test', 'flex', 0.5, '2026-03-01'), 4, 'A tier of a factor is added');
select set_eq(
  $$ select pg_temp.booked('other') $$,
  array['2026-01-01 4', '2026-01-01 7', '2026-02-01 4', '2026-02-01 7', '2026-03-01 flex 2', '2026-03-01 flex 3.5'],
  'A service tier has rows of its own'
);
select is_empty($$ select pg_temp.wrong_products() $$, 'After all of that, the book says what the prices say');

-- Meters
update spend.meters set provider_decides = true where meter = 'audio_input_tokens';
update spend.meters set part_of = null where meter = 'reasoning_tokens';
select is_empty($$ select pg_temp.wrong_products() $$, 'A meter that changes is changed in every line that has it');
select is_empty(
  $$ select from spend_private.price_book as b cross join lateral unnest(b.lines) as l
     where l.meter = 'reasoning_tokens' and l.part_of is not null $$, '… which is part of nothing then'
);

-- Tenants
insert into spend.prices (resource_type, provider, product, meter, usd, tenant_id, effective_from) values
  ('llm', 'test', 'other', 'input_tokens', 0.5, 'aaaaaaaa-0000-4000-8000-000000000001', '2026-01-15'),
  ('llm', 'test', 'only', 'input_tokens', 0.5, 'aaaaaaaa-0000-4000-8000-000000000001', '2026-01-15');
select is(
  (select sum(cardinality(b.lines)) from spend_private.price_book as b where b.tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001'), 2::bigint,
  'Rows of a tenant have what it negotiated, and no more'
);
delete from spend.tenants where id = 'aaaaaaaa-0000-4000-8000-000000000001';
select is_empty(
  $$ select from spend_private.price_book as b where b.tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' $$,
  'They go with the tenant'
);
select is_empty($$ select pg_temp.wrong_products() $$, '… and all others are as they were');

-- A book that is wrong: someone has turned the triggers off.
set local session_replication_role = replica;
update spend.prices set usd = 70, version = version + 1 where provider = 'test' and usd = 7;
delete from spend_private.price_book where provider = 'openai' and product = 'gpt-4o';
set local session_replication_role = origin;
select set_eq(
  $$ select pg_temp.wrong_products() $$, array['test/other', 'openai/gpt-4o'], 'A book that differs is found'
);
select spend_private.rebuild_price_book('test');
select set_eq($$ select pg_temp.wrong_products() $$, array['openai/gpt-4o'], 'The book of a provider is made again');

-- A long history: two meters, tiers, tenants' prices and revisions, a price every day.
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000002', 'B');
insert into spend.prices (resource_type, provider, product, meter, usd, tier_from, tenant_id, effective_from, revision)
select 'llm', 'test', 'long', m.meter, 1 + n % 7, t.tier_from, w.tenant_id, timestamptz '2030-01-01' + make_interval(days => n), n % 2
from generate_series(1, 300) as n
cross join (values ('input_tokens', 1), ('output_tokens', 3)) as m (meter, every)
cross join (values (0, 1), (1000, 5)) as t (tier_from, every)
cross join (values (null, 1), ('aaaaaaaa-0000-4000-8000-000000000002'::uuid, 10)) as w (tenant_id, every)
where n % m.every = 0 and n % t.every = 0 and n % w.every = 0;
insert into spend.prices (resource_type, provider, product, meter, usd, tier_from, tenant_id, effective_from, revision)
select p.resource_type, p.provider, p.product, p.meter, 9, p.tier_from, p.tenant_id, p.effective_from, 2
from spend.prices as p where p.product = 'long' and p.usd = 3;
create function pg_temp.wrong_lines() returns bigint language sql as $$
  select count(*) from spend_private.price_book as b
  where b.product = 'long' and b.lines is distinct from spend_private.listed_prices(
    b.provider, b.product, b.resource_type, b.service_tier,
    nullif(b.tenant_id, '00000000-0000-0000-0000-000000000000'), b.valid_from
  )
$$;
select is((select count(*) from spend_private.price_book as b where b.product = 'long'), 330::bigint, 'Each of 300 days with a price has a row, and each of 30 of the tenant');
select is(pg_temp.wrong_lines(), 0::bigint, 'Each says what the prices say');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'long', 'output_tokens', 5, '2030-06-01 12:00+00');
select is(pg_temp.wrong_lines(), 0::bigint, '… also after a price that came between them');
create function pg_temp.fetched() returns bigint language sql as $$
  select idx_tup_fetch from pg_stat_xact_user_tables where relid = 'spend.prices'::regclass
$$;
create temporary table before as select pg_temp.fetched() as rows;
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
select 'llm', 'test', 'longer', 'input_tokens', 1, timestamptz '2030-01-01' + make_interval(days => n) from generate_series(1, 1000) as n;
select cmp_ok(
  pg_temp.fetched() - b.rows, '<', 5000::bigint, 'A product with 1,000 dated prices comes into the book by reading each a few times'
)
from before as b;
update before set rows = pg_temp.fetched();
select spend_private.rebuild_price_book('test', 'longer');
select cmp_ok(pg_temp.fetched() - b.rows, '<', 5000::bigint, '… and so does a book that is made again')
from before as b;

update spend_private.price_state set has_negotiated = false;
select spend_private.verify_price_book(100000);
select ok((select s.has_negotiated from spend_private.price_state as s), 'Prices of a tenant that nobody knew of are known of after the verification');
select is((select count(*) from spend.problems as p where p.job = 'verify' and p.subject = 'prices test/long'), 1::bigint, '… which is a problem');

truncate spend.prices;
select is_empty('select from spend_private.price_book', 'An empty price list has an empty book');

select * from finish();
rollback;
