-- The floor: the least SQL that touches the rows which reserve and settle touch, in the same order, with no logic in
-- it. No price, no check, no answer: which balances, what it costs and which usage are the caller's to know. Prepared,
-- in one round trip each; the same tables, with all their indexes and constraints.
create schema bench;

create function bench.hold(
  p_tenant_id uuid,
  p_user_id uuid,
  p_user_quota_id bigint,
  p_tenant_quota_id bigint,
  p_platform_quota_id bigint,
  p_day timestamptz,
  p_month timestamptz,
  p_usage jsonb,
  p_usd numeric
)
returns uuid
language plpgsql volatile
as $$
declare
  v_id uuid := gen_random_uuid();
  v_tenant_slot integer := pg_backend_pid() % 8;
  v_platform_slot integer := pg_backend_pid() % 64;
begin
  perform from spend_private.quota_balances
  where quota_id = p_user_quota_id and period_start = p_day and slot = 0 for no key update;
  perform from spend_private.quota_balances
  where quota_id = p_tenant_quota_id and period_start = p_month and slot = v_tenant_slot for no key update;
  perform from spend_private.quota_balances
  where quota_id = p_platform_quota_id and period_start = p_month and slot = v_platform_slot for no key update;

  update spend_private.quota_balances set reserved_usd = reserved_usd + p_usd
  where quota_id = p_user_quota_id and period_start = p_day and slot = 0;
  update spend_private.quota_balances set reserved_usd = reserved_usd + p_usd
  where quota_id = p_tenant_quota_id and period_start = p_month and slot = v_tenant_slot;
  update spend_private.quota_balances set reserved_usd = reserved_usd + p_usd
  where quota_id = p_platform_quota_id and period_start = p_month and slot = v_platform_slot;

  insert into spend.reservations (
    tenant_id, id, user_id, resource_type, provider, product, task, usage_estimate,
    estimated_cost_usd, holds, price_ids, expires_at
  )
  values (
    p_tenant_id, v_id, p_user_id, 'llm', 'openai', 'gpt-4o-mini', 'chat', p_usage, p_usd,
    array[
      row(p_user_quota_id, p_day, 0)::spend.reservation_hold,
      row(p_tenant_quota_id, p_month, v_tenant_slot)::spend.reservation_hold,
      row(p_platform_quota_id, p_month, v_platform_slot)::spend.reservation_hold
    ],
    '{1,2}', now() + interval '10 minutes'
  );
  return v_id;
end;
$$;

create function bench.book(
  p_tenant_id uuid,
  p_id uuid,
  p_user_id uuid,
  p_user_quota_id bigint,
  p_tenant_quota_id bigint,
  p_platform_quota_id bigint,
  p_day timestamptz,
  p_month timestamptz,
  p_usage jsonb,
  p_held_usd numeric,
  p_usd numeric
)
returns void
language plpgsql volatile
as $$
declare
  v_tenant_slot integer := pg_backend_pid() % 8;
  v_platform_slot integer := pg_backend_pid() % 64;
begin
  update spend.reservations set status = 'settled', actual_cost_usd = p_usd, ended_at = now()
  where tenant_id = p_tenant_id and id = p_id;

  update spend_private.quota_balances
  set reserved_usd = reserved_usd - p_held_usd, spent_usd = spent_usd + p_usd
  where quota_id = p_user_quota_id and period_start = p_day and slot = 0;
  update spend_private.quota_balances
  set reserved_usd = reserved_usd - p_held_usd, spent_usd = spent_usd + p_usd
  where quota_id = p_tenant_quota_id and period_start = p_month and slot = v_tenant_slot;
  update spend_private.quota_balances
  set reserved_usd = reserved_usd - p_held_usd, spent_usd = spent_usd + p_usd
  where quota_id = p_platform_quota_id and period_start = p_month and slot = v_platform_slot;

  insert into spend.cost_events (
    tenant_id, occurred_at, kind, reservation_id, user_id, task, resource_type, provider, product,
    usage, cost_usd, calls, price_ids
  )
  values (
    p_tenant_id, now(), 'charge', p_id, p_user_id, 'chat', 'llm', 'openai', 'gpt-4o-mini', p_usage,
    p_usd, 1, '{1,2}'
  );
end;
$$;
