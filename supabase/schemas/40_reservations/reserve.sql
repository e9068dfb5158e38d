create function spend.reserve(
  tenant_id uuid,
  user_id uuid,
  resource_type text,
  usage jsonb,
  task text default 'chat',
  conversation_id text default null,
  path_id text default null,
  idempotency_key text default null,
  ttl_seconds integer default 600,
  enforce boolean default true,
  metadata jsonb default '{}'
)
returns spend.reserve_result
language plpgsql volatile
-- Definer: nobody, service_role included, writes balances or reservations but through these functions.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.reserve(
    reserve.tenant_id, reserve.user_id, reserve.resource_type, reserve.usage, reserve.task,
    reserve.conversation_id, reserve.path_id, reserve.idempotency_key, reserve.ttl_seconds,
    reserve.enforce, reserve.metadata
  );
end;
$$;
comment on function spend.reserve is
  'Reserves the cost of a call: checks every quota that matches, and holds the estimated cost in all of them or in none. One transaction; a refusal is an answer (allowed = false), not an error.
usage: upper bound of the call, {"provider","model","input_tokens","output_tokens",…} for llm, {"provider","template","vcpus","memory_gib","seconds"} for e2b. user_id: null for work of the tenant itself. idempotency_key: the same key and request get the same answer again (replayed = true). ttl_seconds: after that the reservation expires and its hold is charged. enforce = false: holds and counts, never refuses.
From SQL, write select * from spend.reserve(…). Postgres expands select (spend.reserve(…)).* into one call for each column of the answer: ten holds, or with an idempotency_key one.
Errors: 22023 invalid_usage, 42501 not_a_member, PT403 tenant_closed, PT409 idempotency_conflict, PT422 unpriced_product, 55P03 when a lock is not granted within 3 s (try again). For service_role.';
grant execute on function spend.reserve to service_role;

create function spend_private.reserve(
  p_tenant_id uuid,
  p_user_id uuid,
  p_resource_type text,
  p_usage jsonb,
  p_task text default 'chat',
  p_conversation_id text default null,
  p_path_id text default null,
  p_idempotency_key text default null,
  p_ttl_seconds integer default 600,
  p_enforce boolean default true,
  p_metadata jsonb default '{}',
  p_now timestamptz default now(),
  p_closed_too boolean default false
)
returns spend.reserve_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_wrong text[];
  v_call spend_private.call;
  v_answer spend.reserve_result;
  v_hash uuid;
  v_is_enforced boolean := coalesce(p_enforce, true);
  v_quotas spend_private.applicable_quota[];
  v_quota spend_private.applicable_quota;
  v_is_usual boolean := true;
  v_holding spend_private.holding;
  v_admission spend_private.admission;
begin
  perform spend_private.join_calls(spend_private.tenant_key(p_tenant_id));

  v_wrong := spend_private.wrong_argument(
    p_conversation_id, p_path_id, p_idempotency_key, p_ttl_seconds, p_metadata
  );
  if v_wrong is not null then
    perform spend_private.fail_usage(v_wrong[1], v_wrong[2]);
  end if;
  v_call := spend_private.authorise_call(p_tenant_id, p_user_id, p_resource_type, p_usage, p_task, p_now, p_closed_too);

  if p_idempotency_key is not null then
    v_hash := spend_private.request_hash(
      p_user_id, p_resource_type, v_call.usage, v_call.task, p_conversation_id, p_path_id
    );
    v_answer := spend_private.replay(p_tenant_id, p_idempotency_key, v_hash);
    if v_answer.replayed then
      return v_answer;
    end if;
  end if;

  -- Until every row that prices it is marked as used, and cannot change.
  while v_call.is_first_use loop
    perform spend_private.mark_prices_used(
      p_tenant_id, p_resource_type, v_call.provider, v_call.priced_as, p_now
    );
    v_call := spend_private.authorise_call(p_tenant_id, p_user_id, p_resource_type, p_usage, p_task, p_now, p_closed_too);
  end loop;

  v_quotas := spend_private.applicable_quotas(v_call, v_is_enforced, p_now);
  foreach v_quota in array v_quotas loop
    v_is_usual := v_is_usual and v_quota.has_room and not v_quota.is_expected;
  end loop;
  if v_is_usual then
    v_holding := spend_private.hold_at_once(v_quotas, v_call.cost_usd, v_is_enforced);
  end if;
  if not v_is_usual or v_holding.full_place is not null then
    v_admission := spend_private.admit(v_call, v_quotas, v_holding.full_place, v_is_enforced, p_now);
    v_call := v_admission.call;
    if v_admission.holding is null then
      perform spend_private.keep_refusal(p_tenant_id, p_user_id, p_idempotency_key, v_hash, v_admission, p_now);
      return v_admission.refusal;
    end if;
    v_holding := v_admission.holding;
  end if;

  v_answer.warnings := case v_holding.at_threshold
    when '{}' then '{}' else spend_private.record_warnings(p_tenant_id, v_holding.at_threshold, v_call.cost_usd, p_now)
  end;
  insert into spend.reservations (
    tenant_id, id, user_id, resource_type, provider, product, task, conversation_id, path_id,
    idempotency_key, request_hash, usage_estimate, estimated_cost_usd, holds, price_ids, priced_as, price_version,
    warnings, metadata, created_at, expires_at
  )
  values (
    p_tenant_id, spend_private.new_reservation_id(p_tenant_id), p_user_id, p_resource_type, v_call.provider,
    v_call.product, v_call.task, p_conversation_id, p_path_id,
    p_idempotency_key, v_hash, v_call.usage, v_call.cost_usd, v_holding.holds, v_call.price_ids,
    v_call.priced_as, v_call.price_version,
    v_answer.warnings, coalesce(p_metadata, '{}'), p_now, p_now + make_interval(secs => p_ttl_seconds)
  )
  returning true, id, estimated_cost_usd, expires_at, false
  into v_answer.allowed, v_answer.reservation_id, v_answer.estimated_cost_usd, v_answer.expires_at, v_answer.replayed;
  return v_answer;
end;
$$;
comment on function spend_private.reserve is
  'spend.reserve with a clock. p_closed_too: see spend_private.authorise_call.';

create function spend_private.keep_refusal(
  p_tenant_id uuid,
  p_user_id uuid,
  p_idempotency_key text,
  p_request_hash uuid,
  p_admission spend_private.admission,
  p_now timestamptz
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_answer spend.reserve_result := p_admission.refusal;
begin
  if v_answer.reason = 'limit_reached' then
    perform spend_private.record_alerts(
      q, v_answer.quota, p_admission.refused_from, p_tenant_id, p_now, p_is_refused => true
    )
    from spend.cost_quotas as q where q.id = (v_answer.quota).quota_id;
  end if;
  if p_idempotency_key is not null then
    insert into spend_private.refusals (tenant_id, idempotency_key, request_hash, answer, created_at)
    values (p_tenant_id, p_idempotency_key, p_request_hash, v_answer, p_now);
  end if;
  perform spend_private.count_refusal(p_tenant_id, p_user_id, v_answer, p_now);
end;
$$;
comment on function spend_private.keep_refusal is
  'Records a refusal: the alert of a quota that is spent, the answer for its idempotency key, and one more in the count.';
