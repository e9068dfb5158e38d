-- A ledger of many events over the last twelve months, of tenants of very different size, and the reservations that are
-- kept of it, for plans and timings. On a scratch database alone: events cannot be deleted.
create function bench.generate(p_events bigint, p_reservations bigint)
returns void
language plpgsql
as $$
declare
  v_tenants bigint := (select count(*) from spend.tenants);
  -- As if booked by the transactions that this server has seen so far: roll-ups wait for those to come.
  v_transactions bigint := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
begin
  perform spend_private.ensure_partition(
    (date_trunc('month', now(), 'UTC') at time zone 'UTC' - make_interval(months => m))::date
  )
  from generate_series(0, 12) as m;

  -- Ten calls make a conversation: of one user, about one task, with one model, a minute after another.
  insert into spend.cost_events (
    tenant_id, occurred_at, booked_at, booked_xid, kind, reservation_id, user_id, conversation_id, task,
    resource_type, provider, product, usage, cost_usd, calls, price_ids
  )
  select
    bench.tenant_id(e.tenant), e.at, e.at, e.xid, 'charge',
    gen_random_uuid(),
    -- 20 users per tenant.
    ('00000000-0000-4000-9000-' || lpad((e.tenant * 20 + e.c % 20)::text, 12, '0'))::uuid,
    'conversation-' || e.c, (array['chat', 'agent', 'compact'])[1 + e.c % 3],
    'llm', 'bench', 'model-' || e.c * 7 % 20, '{"input_tokens": 1000, "output_tokens": 200}',
    (e.g % 1000) * 0.00001, 1, '{1,2}'
  from (
    select
      g, g / 10 as c,
      (4 + g * (v_transactions - 5) / p_events)::text::xid8 as xid,
      -- The largest of a thousand tenants has about a sixteenth of all, the middle one some thousands.
      1 + floor(v_tenants * power(((g / 10 * 2654435761) % 1000003)::float8 / 1000003, 2.5))::bigint % v_tenants as tenant,
      now() - (1 - (g / 10 * 10)::float8 / p_events) * interval '360 days' - make_interval(mins => 10 - (g % 10)::integer) as at
    from generate_series(1, p_events) as g
  ) as e;

  -- Of a month ago: no balance that is open now counts them.
  insert into spend.reservations (
    tenant_id, id, user_id, resource_type, provider, product, task, usage_estimate, estimated_cost_usd,
    actual_cost_usd, status, holds, price_ids, created_at, expires_at, ended_at
  )
  select
    r.tenant_id, spend_private.new_reservation_id(r.tenant_id), gen_random_uuid(), 'llm', 'bench', 'model-1', 'chat',
    '{"input_tokens": 1000, "output_tokens": 200}', 0.001, 0.001, 'settled', '{}', '{1,2}',
    r.at, r.at + interval '10 minutes', r.at + interval '5 seconds'
  from (
    select bench.tenant_id(1 + g * 7919 % v_tenants) as tenant_id, now() - interval '40 days' + g * interval '1 second' as at
    from generate_series(1, p_reservations) as g
  ) as r;
end;
$$;

-- A price list with a long past: the model that is called has had a new price on each day of a year, every other one in each of
-- ten quarters. Before the first call: prices of calls cannot be changed.
create function bench.generate_prices(p_prices bigint)
returns void
language plpgsql
as $$
begin
  insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
  select 'llm', 'openai', 'gpt-4o-mini', p.meter, p.usd + d * 0.0001, current_date - d
  from generate_series(1, 365) as d
  cross join (values ('input_tokens', 0.15), ('output_tokens', 0.6)) as p (meter, usd);

  insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
  select 'llm', 'bench', 'former-model-' || n, p.meter, p.usd + q * 0.01, current_date - q * 91
  from generate_series(1, p_prices / 20) as n
  cross join generate_series(1, 10) as q
  cross join (values ('input_tokens', 0.15), ('output_tokens', 0.6)) as p (meter, usd);
end;
$$;
