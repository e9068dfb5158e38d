create function spend.adjust(
  tenant_id uuid,
  amount_usd numeric,
  reason text,
  resource_type text default 'llm',
  user_id uuid default null,
  idempotency_key text default null
)
returns bigint
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.adjust(
    adjust.tenant_id, adjust.amount_usd, adjust.reason, adjust.resource_type, adjust.user_id,
    adjust.idempotency_key
  );
end;
$$;
comment on function spend.adjust is
  'Books a correction by hand, in USD, into the current periods: negative is a credit. Returns the id of the event. The same idempotency_key and request book once.
Errors: 22023 invalid_adjustment, PT404 unknown_tenant, PT409 idempotency_conflict. For service_role.';
grant execute on function spend.adjust to service_role;

create function spend_private.adjust(
  p_tenant_id uuid,
  p_amount_usd numeric,
  p_reason text,
  p_resource_type text default 'llm',
  p_user_id uuid default null,
  p_idempotency_key text default null,
  p_now timestamptz default now()
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_time_zone text;
  v_holds spend.reservation_hold[];
  v_hash uuid;
  v_event_id bigint;
begin
  if p_user_id is not null then
    perform spend_private.await_member(p_tenant_id, p_user_id);
  end if;
  perform spend_private.join_calls(spend_private.tenant_key(p_tenant_id));
  perform spend_private.check_adjustment(p_amount_usd, p_reason, p_resource_type, p_idempotency_key);
  select t.time_zone into v_time_zone from spend.tenants as t where t.id = p_tenant_id;
  if not found then
    perform spend_private.fail(
      'PT404', 'unknown_tenant', jsonb_build_object('tenant_id', p_tenant_id),
      'Pass the id of a row of spend.tenants.'
    );
  end if;

  if p_idempotency_key is not null then
    v_hash := md5(jsonb_build_array(trim_scale(p_amount_usd), p_reason, p_resource_type, p_user_id)::text)::uuid;
    v_event_id := spend_private.earlier_adjustment(p_tenant_id, p_idempotency_key, v_hash);
    if v_event_id is not null then
      return v_event_id;
    end if;
  end if;

  v_holds := spend_private.current_holds(p_tenant_id, v_time_zone, p_user_id, p_resource_type, p_now);
  perform spend_private.overrun_balances(v_holds, 0, p_amount_usd);
  insert into spend.cost_events (
    tenant_id, occurred_at, booked_at, kind, user_id, resource_type, cost_usd, metadata
  )
  values (
    p_tenant_id, p_now, p_now, 'adjustment', p_user_id, p_resource_type, p_amount_usd,
    jsonb_build_object('reason', p_reason)
  )
  returning id into v_event_id;

  if p_idempotency_key is not null then
    insert into spend_private.adjustments (tenant_id, idempotency_key, request_hash, event_id, created_at)
    values (p_tenant_id, p_idempotency_key, v_hash, v_event_id, p_now);
  end if;
  if p_amount_usd < 0 then
    perform spend_private.end_alerts(v_holds, p_now);
  end if;
  perform spend_private.record_warnings(p_tenant_id, v_holds, p_amount_usd, p_now);
  return v_event_id;
end;
$$;
comment on function spend_private.adjust is
  'spend.adjust with a clock.';

create function spend_private.check_adjustment(
  p_amount_usd numeric,
  p_reason text,
  p_resource_type text,
  p_idempotency_key text
)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_field text := case
    when p_amount_usd is null or p_amount_usd = 'NaN' or abs(p_amount_usd) > 1e9
      or scale(trim_scale(p_amount_usd)) > 12 then 'amount_usd'
    when coalesce(length(trim(p_reason)), 0) not between 1 and 1000 then 'reason'
    when p_resource_type is null or p_resource_type not in ('llm', 'e2b') then 'resource_type'
    when length(p_idempotency_key) not between 1 and 255 then 'idempotency_key'
  end;
begin
  if v_field is not null then
    perform spend_private.fail(
      '22023', 'invalid_adjustment', jsonb_build_object('field', v_field),
      'amount_usd: at most 1e9 either way, 12 decimals; reason: 1 to 1000 characters; resource_type: llm or e2b; idempotency_key: 1 to 255 characters.'
    );
  end if;
end;
$$;
comment on function spend_private.check_adjustment is
  'Raises 22023 invalid_adjustment with the field.';

create function spend_private.earlier_adjustment(
  p_tenant_id uuid,
  p_idempotency_key text,
  p_request_hash uuid
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_event_id bigint;
  v_hash uuid;
begin
  -- Wait for the first request with this key; the statement below then sees what it committed.
  perform pg_advisory_xact_lock(hashtextextended('adjust' || p_tenant_id::text || p_idempotency_key, 0));
  select a.event_id, a.request_hash into v_event_id, v_hash
  from spend_private.adjustments as a
  where a.tenant_id = p_tenant_id and a.idempotency_key = p_idempotency_key;
  if v_hash <> p_request_hash then
    perform spend_private.fail_conflict(p_idempotency_key);
  end if;
  return v_event_id;
end;
$$;
comment on function spend_private.earlier_adjustment is
  'The event that an earlier request with this idempotency key wrote; null when the key is new. Raises PT409 idempotency_conflict.';
