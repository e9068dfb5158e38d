begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(48);
\ir ../support/test_model.psql

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b');
insert into spend.plans (id, name) values ('bare', 'Without quotas');

-- A tenant with one quota. The other functions find it by its name.
create function pg_temp.tenant(p_name text, p_limit numeric, p_period text, p_zone text default 'UTC') returns void language sql as $$
  with tenant as (
    insert into spend.tenants (name, plan_id, time_zone) values (p_name, 'bare', p_zone) returning id
  )
  insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
  select 'tenant', t.id, 'llm', p_period, p_limit from tenant as t
$$;
create function pg_temp.id(p_name text) returns uuid language sql as $$ select id from spend.tenants where name = p_name $$;
create function pg_temp.reserve(p_name text, p_usd numeric, p_now timestamptz default now())
returns spend.reserve_result language sql as $$
  select spend_private.reserve(pg_temp.id(p_name), null, 'llm', pg_temp.usage(p_usd), p_now => p_now)
$$;
-- Holds an amount and settles at a cost; why it was refused, where it was.
create function pg_temp.spend(p_name text, p_usd numeric, p_cost numeric default null, p_now timestamptz default now())
returns text language plpgsql as $$
declare
  v_answer spend.reserve_result := pg_temp.reserve(p_name, p_usd, p_now);
begin
  if v_answer.allowed then
    perform spend_private.settle(v_answer.reservation_id, pg_temp.usage(coalesce(p_cost, p_usd)), p_now => p_now);
  end if;
  return v_answer.reason;
end;
$$;
create function pg_temp.alerts(p_name text) returns text language sql as $$
  select string_agg(
    format('%s %s of %s', a.kind, trim_scale((a.details).spent_usd), trim_scale(a.limit_usd)), ', ' order by a.id
  )
  from spend.alerts as a where a.tenant_id = pg_temp.id(p_name)
$$;
create function pg_temp.set_limit(p_name text, p_usd numeric) returns void language sql as $$
  update spend.cost_quotas set limit_usd = p_usd where tenant_id = pg_temp.id(p_name)
$$;

-- Answers warn of what is held too, alerts of what is spent.
select pg_temp.tenant('answers', 100, 'month');
select is(cardinality((pg_temp.reserve('answers', 79)).warnings), 0, '79 of 100 are held: the answer has no warning');
select is(
  (select array_agg((w).scope || ' ' || (w).resource_type) from unnest((pg_temp.reserve('answers', 1)).warnings) as w),
  array['tenant llm'], '80 of 100 are held: the answer warns of the tenant''s quota'
);
select is(pg_temp.alerts('answers'), null, '80 of 100 are held and nothing is spent: no alert is recorded');

-- Thresholds
select pg_temp.tenant('thresholds', 100, 'month');
select is(pg_temp.spend('thresholds', 79.999999), null, '79.999999 of 100 are spent');
select is(pg_temp.alerts('thresholds'), null, '79.999999 of 100 spent record no alert');
select is(pg_temp.spend('thresholds', 0.000001), null, '80 of 100 are spent');
select is(pg_temp.alerts('thresholds'), 'quota_warning 80 of 100', '80 of 100 spent record a warning');
select pg_temp.spend('thresholds', 5);
select is(pg_temp.alerts('thresholds'), 'quota_warning 80 of 100', '85 of 100 spent record no second warning');
select pg_temp.spend('thresholds', 14.999999);
select is(pg_temp.alerts('thresholds'), 'quota_warning 80 of 100', '99.999999 of 100 spent do not record that the limit is reached');
select pg_temp.spend('thresholds', 0.000001);
select is(pg_temp.alerts('thresholds'), 'quota_warning 80 of 100, quota_exceeded 100 of 100', '100 of 100 spent record that the limit is reached');
select is(pg_temp.spend('thresholds', 1), 'limit_reached', 'A call after 100 of 100 are spent is refused');
select is(pg_temp.alerts('thresholds'), 'quota_warning 80 of 100, quota_exceeded 100 of 100', 'A refusal at a limit that is reached records no further alert');

-- A hold that settles below its estimate
select pg_temp.tenant('dear hold', 10, 'day');
select pg_temp.spend('dear hold', 9, 0.01);
select is(pg_temp.alerts('dear hold'), null, 'A hold of 9 of 10 that settles at 0.01 records no alert');
select pg_temp.spend('dear hold', 8, 7.99);
select is(pg_temp.alerts('dear hold'), 'quota_warning 8 of 10', '8 of 10 spent record a warning');
select pg_temp.tenant('cheap end', 10, 'day');
create temporary table dear as select * from pg_temp.reserve('cheap end', 9);
select is(cardinality(d.warnings), 1, 'A hold of 9 of 10 warns') from dear as d;
select is(
  cardinality((spend.settle(d.reservation_id, pg_temp.usage(1))).warnings), 0, 'It settles at 1 of 10: the answer has no warning'
)
from dear as d;

-- Refusals
select pg_temp.tenant('refusals', 10, 'day');
select is(pg_temp.spend('refusals', 11), 'exceeds_limit', 'A call of 11 is refused by a limit of 10');
select is(pg_temp.alerts('refusals'), null, 'A call that is larger than the limit records no alert');
select is((pg_temp.reserve('refusals', 6)).allowed, true, 'A call holds 6 of 10');
select is(pg_temp.spend('refusals', 5), 'in_flight', 'A call of 5 is refused while 6 of 10 are held');
select is(pg_temp.alerts('refusals'), null, 'A refusal because of what is held records no alert');
select pg_temp.tenant('refusals near the limit', 10, 'day');
select pg_temp.spend('refusals near the limit', 5);
select is(pg_temp.spend('refusals near the limit', 6), 'limit_reached', 'A call of 6 is refused when 5 of 10 are spent');
select is(pg_temp.alerts('refusals near the limit'), null, 'A refusal when half of the limit is spent records no alert');
select pg_temp.tenant('refusals beside a hold', 10, 'day');
select pg_temp.spend('refusals beside a hold', 5);
select pg_temp.reserve('refusals beside a hold', 3.5);
select is(pg_temp.spend('refusals beside a hold', 6), 'limit_reached', 'A call of 6 is refused when 5 of 10 are spent and 3.5 held');
select is(pg_temp.alerts('refusals beside a hold'), null, 'What is held makes such a refusal record no alert');
select pg_temp.tenant('other refusals near the limit', 10, 'day');
select pg_temp.spend('other refusals near the limit', 8.5);
select pg_temp.reserve('other refusals near the limit', 1);
select is(pg_temp.spend('other refusals near the limit', 1), 'in_flight', 'A call of 1 is refused when 8.5 of 10 are spent and 1 held');
select is(pg_temp.spend('other refusals near the limit', 11), 'exceeds_limit', 'So is one of 11');
select is(pg_temp.alerts('other refusals near the limit'), 'quota_warning 8.5 of 10', 'Neither of them records that the limit is reached');
select pg_temp.spend('refusals near the limit', 4);
select is(pg_temp.spend('refusals near the limit', 2), 'limit_reached', 'A call of 2 is refused when 9 of 10 are spent');
select is(pg_temp.alerts('refusals near the limit'), 'quota_warning 9 of 10, quota_exceeded 9 of 10', 'A refusal when 9 of 10 are spent records that the limit is reached');
select pg_temp.spend('refusals near the limit', 3);
select pg_temp.spend('refusals near the limit', 1);
select is(pg_temp.alerts('refusals near the limit'), 'quota_warning 9 of 10, quota_exceeded 9 of 10, quota_exceeded 10 of 10', 'A refusal near the limit is recorded once, and the limit itself when it is reached');
select is(
  (select array_agg(threshold order by id) from spend.alerts where kind = 'quota_exceeded' and tenant_id = pg_temp.id('refusals near the limit')),
  '{0.8,1}', 'A refusal near the limit and the limit itself differ in the alert''s threshold'
);
select pg_temp.tenant('nothing', 0, 'day');
select is(pg_temp.spend('nothing', 1), 'exceeds_limit', 'A limit of 0 refuses every call');
select is(pg_temp.alerts('nothing'), null, 'A limit of 0 records no alert');

-- An extension that is refused
select pg_temp.tenant('extension', 10, 'day');
select pg_temp.spend('extension', 8);
select spend.extend((pg_temp.reserve('extension', 1)).reservation_id, pg_temp.usage(4));
select is(pg_temp.alerts('extension'), 'quota_warning 8 of 10, quota_exceeded 8 of 10', 'A refused extension near the limit records an alert, as a refused call does');

-- Raised limits
select pg_temp.tenant('topped up', 10, 'lifetime');
select pg_temp.spend('topped up', 10);
select pg_temp.set_limit('topped up', 30);
select pg_temp.spend('topped up', 14);
select pg_temp.spend('topped up', 6);
select is(
  pg_temp.alerts('topped up'), 'quota_warning 10 of 10, quota_exceeded 10 of 10, quota_warning 24 of 30, quota_exceeded 30 of 30',
  'A limit of 10 that is used up, raised to 30 and used up again records each alert twice'
);
select pg_temp.tenant('raised', 10, 'month');
select pg_temp.spend('raised', 9);
select pg_temp.set_limit('raised', 100);
select pg_temp.spend('raised', 80);
select is(pg_temp.alerts('raised'), 'quota_warning 9 of 10, quota_warning 89 of 100', 'A limit that is raised within its month warns again at 80 percent');
select pg_temp.set_limit('raised', 89);
select spend_private.record_missed_alerts();
select is(
  pg_temp.alerts('raised'), 'quota_warning 9 of 10, quota_warning 89 of 100, quota_warning 89 of 89, quota_exceeded 89 of 89',
  'Maintenance records that a limit lowered to what is spent is reached'
);

-- Spend that goes down again
select pg_temp.tenant('credit', 10, 'month');
select pg_temp.spend('credit', 10);
select spend.adjust(pg_temp.id('credit'), -5, 'credit');
select pg_temp.spend('credit', 5);
select is(
  pg_temp.alerts('credit'), 'quota_warning 10 of 10, quota_exceeded 10 of 10, quota_warning 10 of 10, quota_exceeded 10 of 10',
  'After a credit of 5 the same limit is reached again, and recorded again'
);
select pg_temp.tenant('small credit', 10, 'month');
select pg_temp.spend('small credit', 9);
select spend.adjust(pg_temp.id('small credit'), -0.5, 'credit');
select pg_temp.spend('small credit', 0.1);
select is(pg_temp.alerts('small credit'), 'quota_warning 9 of 10', 'A credit that leaves the spend above the threshold records no second warning');
select pg_temp.tenant('expired', 10, 'month');
create temporary table expired as select (pg_temp.reserve('expired', 10, now() - interval '1 hour')).reservation_id as id;
select spend.expire_reservations();
select spend_private.record_missed_alerts();
select is(pg_temp.alerts('expired'), 'quota_warning 10 of 10, quota_exceeded 10 of 10', 'A hold of 10 of 10 that expires counts as spent, and records both alerts');
select spend.settle(e.id, pg_temp.usage(1)) from expired as e;
select pg_temp.spend('expired', 7.5);
select is(
  pg_temp.alerts('expired'), 'quota_warning 10 of 10, quota_exceeded 10 of 10, quota_warning 8.5 of 10',
  'An expired hold of 10 that settles at 1 leaves room, and 8.5 of 10 spent warn again'
);

-- Retention
update spend.alerts set created_at = now() - interval '91 days';
select spend_private.delete_old_alerts(90, 10);
select is((select count(*) from spend.alerts where tenant_id = pg_temp.id('topped up')), 4::bigint, 'Alerts of a lifetime quota are kept after 91 days, because its period goes on');
select spend_private.record_missed_alerts();
select is(pg_temp.alerts('topped up'), 'quota_warning 10 of 10, quota_exceeded 10 of 10, quota_warning 24 of 30, quota_exceeded 30 of 30', 'An alert that is kept is not recorded again');
select is(spend_private.delete_old_alerts(90, 2, now() + interval '32 days'), 2::bigint, 'Alerts of months that are over are deleted, two at a time');
select spend_private.delete_old_alerts(90, 1000, now() + interval '32 days');
select isnt_empty($$select from spend.alerts as a join spend.cost_quotas as q on q.id = a.quota_id where q.period = 'lifetime'$$, 'Alerts of a lifetime quota are still kept');

-- Periods
select pg_temp.tenant('next day', 10, 'day');
select pg_temp.spend('next day', 10, p_now => '2026-11-01 12:00+00');
select pg_temp.spend('next day', 10, p_now => '2026-11-02 12:00+00');
select is(
  pg_temp.alerts('next day'), 'quota_warning 10 of 10, quota_exceeded 10 of 10, quota_warning 10 of 10, quota_exceeded 10 of 10',
  'A limit that is reached on two days is recorded on both'
);

-- In Havana clocks go back at midnight, the first hour of that day comes twice.
select pg_temp.tenant('Havana', 10, 'day', 'America/Havana');
select pg_temp.spend('Havana', 9, p_now => '2026-11-01 04:30+00');
select is(
  (select a.period_start from spend.alerts as a where a.tenant_id = pg_temp.id('Havana')),
  (select b.period_start from spend_private.quota_balances as b join spend.cost_quotas as q on q.id = b.quota_id
   where q.tenant_id = pg_temp.id('Havana') and b.slot = 0 and (select sum(o.spent_usd) from spend_private.quota_balances as o
     where o.quota_id = b.quota_id and o.period_start = b.period_start) = 9),
  'An alert belongs to the period of the balance that it is about'
);

select * from finish();
rollback;
