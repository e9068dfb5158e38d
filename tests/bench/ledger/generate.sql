-- A ledger of many events over the last twelve months, of 1,000 tenants of very different size, for plans and timings.
-- Setting: spend.bench_events (10000000 when it is not set). On a scratch database alone: events cannot be deleted.
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
select 'llm', 'bench', 'model-' || p, m, 1, '2020-01-01'
from generate_series(0, 19) as p
cross join unnest(array['input_tokens', 'output_tokens']) as m;

insert into spend.tenants (id, name)
select ('00000000-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, 'Tenant ' || t
from generate_series(1, 1000) as t;
insert into spend.cost_quotas (scope, resource_type, period, limit_usd)
values ('platform', 'all', 'month', 1000000000);

select spend_private.ensure_partition((date_trunc('month', now(), 'UTC') at time zone 'UTC' - make_interval(months => m))::date)
from generate_series(0, 12) as m;

-- Ten calls make a conversation: of one user, about one task, with one model, a minute after another.
insert into spend.cost_events (
  tenant_id, occurred_at, booked_at, booked_xid, kind, reservation_id, user_id, conversation_id, task,
  resource_type, provider, product, usage, cost_usd, price_ids
)
select
  ('00000000-0000-4000-8000-' || lpad(e.tenant::text, 12, '0'))::uuid, e.at, e.at, e.xid, 'charge',
  gen_random_uuid(),
  -- 20 users per tenant.
  ('00000000-0000-4000-9000-' || lpad((e.tenant * 20 + e.c % 20)::text, 12, '0'))::uuid,
  'conversation-' || e.c, (array['chat', 'agent', 'compact'])[1 + e.c % 3],
  'llm', 'bench', 'model-' || e.c * 7 % 20, '{"input_tokens": 1000, "output_tokens": 200}',
  (e.g % 1000) * 0.00001, '{1,2}'
from (
  select
    g, g / 10 as c,
    -- As if booked by the transactions that this server has seen so far: roll-ups wait for those to come.
    (4 + g * (n.transactions - 5) / n.events)::text::xid8 as xid,
    -- The largest tenant has about a sixteenth of all, the middle one some thousands.
    1 + floor(1000 * power(((g / 10 * 2654435761) % 1000003) / 1000003.0, 2.5))::integer % 1000 as tenant,
    now() - (1 - (g / 10 * 10)::float8 / n.events) * interval '360 days' - make_interval(mins => 10 - (g % 10)::integer) as at
  from (
    select
      coalesce(nullif(current_setting('spend.bench_events', true), '')::bigint, 10000000) as events,
      pg_snapshot_xmin(pg_current_snapshot())::text::bigint as transactions
  ) as n
  cross join lateral generate_series(1, n.events) as g
) as e;
