create function spend_private.request_hash(
  p_user_id uuid,
  p_resource_type text,
  p_usage jsonb,
  p_task text,
  p_conversation_id text,
  p_path_id text
)
returns uuid
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return md5(jsonb_build_array(
    p_user_id, p_resource_type, p_usage, p_task, p_conversation_id, p_path_id
  )::text)::uuid;
end;
$$;
comment on function spend_private.request_hash is
  'Fingerprint of what makes two requests the same under one idempotency key.';

create function spend_private.request_lock(p_tenant_id uuid, p_idempotency_key text)
returns bigint
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return hashtextextended(p_tenant_id::text || p_idempotency_key, 0);
end;
$$;
comment on function spend_private.request_lock is
  'Key of the advisory lock that requests with the same idempotency key wait for.';

create function spend_private.replay(p_tenant_id uuid, p_idempotency_key text, p_request_hash uuid)
returns spend.reserve_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_answer spend.reserve_result;
  v_hash uuid;
  v_refusal spend_private.refusals;
begin
  -- Wait for the first request with this key; the statements below then see what it committed.
  perform pg_advisory_xact_lock(spend_private.request_lock(p_tenant_id, p_idempotency_key));

  select r.request_hash, true, r.id, r.estimated_cost_usd, r.expires_at, r.warnings
  into v_hash, v_answer.allowed, v_answer.reservation_id, v_answer.estimated_cost_usd,
    v_answer.expires_at, v_answer.warnings
  from spend.reservations as r
  where r.tenant_id = p_tenant_id and r.idempotency_key = p_idempotency_key;
  if not found then
    select * into v_refusal
    from spend_private.refusals as f
    where f.tenant_id = p_tenant_id and f.idempotency_key = p_idempotency_key;
    v_hash := v_refusal.request_hash;
    v_answer := v_refusal.answer;
  end if;

  if v_hash <> p_request_hash then
    perform spend_private.fail_conflict(p_idempotency_key);
  end if;
  v_answer.replayed := v_hash is not null;
  return v_answer;
end;
$$;
comment on function spend_private.replay is
  'The stored answer to an idempotency key, admitted or refused; replayed = false when the key is new. Requests with the same key wait for each other. Raises PT409 idempotency_conflict.';
