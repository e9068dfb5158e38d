create function spend.reserve_many(calls jsonb)
returns setof spend.reserve_many_result
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return query select * from spend_private.reserve_many(reserve_many.calls);
end;
$$;
comment on function spend.reserve_many is
  'Reserves the costs of up to 100 calls in one transaction, and answers each in its place as reserve does: admitted, refused, or with the error that reserve would have raised, while the others go on. Of calls that compete for what is left of a quota the earlier ones go first.
calls: an array of objects with the arguments of reserve by name, and its defaults: [{"tenant_id", "user_id", "resource_type", "usage", "task", "conversation_id", "path_id", "idempotency_key", "ttl_seconds", "enforce", "metadata"}].
A call that another transaction keeps waiting may answer with error.code 55P03: try it again, with reserve.
Errors: 22023 invalid_usage when calls is no such array, 55P03 when a lock is not granted: nothing is held, send the calls by reserve. For service_role.';
grant execute on function spend.reserve_many to service_role;

create function spend_private.reserve_many(p_calls jsonb, p_now timestamptz default now())
returns setof spend.reserve_many_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_batch spend_private.batched_call[];
begin
  perform spend_private.demand_batch('calls', p_calls);
  v_batch := spend_private.authorise_calls(spend_private.read_calls(p_calls), p_now);
  v_batch := spend_private.hold_calls(v_batch, p_now);
  return query
    select
      a.allowed, a.reservation_id, a.estimated_cost_usd, a.expires_at, a.reason, a.message, a.retry_after, a.quota,
      a.warnings, a.replayed, a.error
    from (
      select (b.answer).*, b.error
      from unnest(spend_private.replay_repeated(v_batch)) as b
    ) as a;
end;
$$;
comment on function spend_private.reserve_many is
  'spend.reserve_many with a clock.';

create function spend_private.read_calls(p_calls jsonb)
returns spend_private.batched_call[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_default spend_private.call_request := row(
    null, null, null, null, 'chat', null, null, null, 600, true, '{}'
  );
  v_element jsonb;
  v_call spend_private.batched_call;
  v_batch spend_private.batched_call[] := '{}';
  v_detail text;
  v_hint text;
begin
  for v_element in select e.value from jsonb_array_elements(p_calls) as e loop
    v_call := null;
    v_call.is_pending := false;
    begin
      perform spend_private.demand_keys(v_element, array[
        'tenant_id', 'user_id', 'resource_type', 'usage', 'task', 'conversation_id', 'path_id', 'idempotency_key',
        'ttl_seconds', 'enforce', 'metadata'
      ]);
      v_call.request := jsonb_populate_record(v_default, v_element);
      v_call.is_pending := true;
    exception
      when others then
        get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
        v_call.error := spend_private.error_answer(sqlstate, sqlerrm, v_detail, v_hint);
    end;
    v_batch := v_batch || v_call;
  end loop;
  return v_batch;
end;
$$;
comment on function spend_private.read_calls is
  'The calls of a batch, in their order; one that cannot be read has its error.';

create function spend_private.authorise_calls(p_batch spend_private.batched_call[], p_now timestamptz)
returns spend_private.batched_call[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_joined integer[] := spend_private.join_calls_of(array(
    select distinct spend_private.tenant_key((b.request).tenant_id) as tenant_key
    from unnest(p_batch) as b
    where (b.request).tenant_id is not null
    order by tenant_key
  ));
  v_keys text[] := '{}';
  v_key text;
  v_unmarked bigint[];
begin
  for v_place in 1..cardinality(p_batch) loop
    if p_batch[v_place].is_pending then
      p_batch[v_place] := spend_private.authorise_batched(p_batch[v_place], v_joined, p_now);
      v_key := (p_batch[v_place].request).tenant_id || (p_batch[v_place].request).idempotency_key;
      if v_key = any (v_keys) and p_batch[v_place].is_pending then
        p_batch[v_place].is_pending := false;
      end if;
      v_keys := v_keys || v_key;
    end if;
  end loop;

  -- Until every row that prices them is marked as used, and cannot change. Who was priced before is priced again, though
  -- no row may be left to mark: somebody else may have marked them, or have changed them.
  while exists (select from unnest(p_batch) as b where b.is_pending and (b.call).is_first_use) loop
    v_unmarked := array(
      select unnest(spend_private.unmarked_prices(
        (b.call).tenant_id, (b.call).resource_type, (b.call).provider, (b.call).priced_as, p_now
      ))
      from unnest(p_batch) as b
      where b.is_pending and (b.call).is_first_use
    );
    perform spend_private.fix_prices(v_unmarked);
    for v_place in 1..cardinality(p_batch) loop
      if p_batch[v_place].is_pending and (p_batch[v_place].call).is_first_use then
        p_batch[v_place] := spend_private.authorise_batched(p_batch[v_place], v_joined, p_now);
      end if;
    end loop;
  end loop;
  return p_batch;
end;
$$;
comment on function spend_private.authorise_calls is
  'authorise_call for each of a batch; one that fails has its error, one that was made before its stored answer. All prices of the others are marked as used.';

create function spend_private.authorise_batched(
  p_call spend_private.batched_call,
  p_joined integer[],
  p_now timestamptz
)
returns spend_private.batched_call
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_request spend_private.call_request := p_call.request;
  v_wrong text[];
  v_call spend_private.call;
  v_answer spend.reserve_result;
  v_detail text;
  v_hint text;
begin
  if v_request.tenant_id is not null and spend_private.tenant_key(v_request.tenant_id) <> all (p_joined) then
    p_call.error := spend_private.busy_answer(jsonb_build_object('tenant_id', v_request.tenant_id));
  elsif v_request.idempotency_key is not null and not pg_try_advisory_xact_lock(
    spend_private.request_lock(v_request.tenant_id, v_request.idempotency_key)
  ) then
    p_call.error := spend_private.busy_answer(jsonb_build_object('idempotency_key', v_request.idempotency_key));
  end if;
  if p_call.error is not null then
    p_call.is_pending := false;
    return p_call;
  end if;

  v_wrong := spend_private.wrong_argument(
    v_request.conversation_id, v_request.path_id, v_request.idempotency_key, v_request.ttl_seconds, v_request.metadata
  );
  if v_wrong is not null then
    perform spend_private.fail_usage(v_wrong[1], v_wrong[2]);
  end if;
  v_call := spend_private.authorise_call(
    v_request.tenant_id, v_request.user_id, v_request.resource_type, v_request.usage, v_request.task, p_now
  );
  p_call.call := v_call;
  if v_request.idempotency_key is not null then
    p_call.request_hash := spend_private.request_hash(
      v_request.user_id, v_request.resource_type, v_call.usage, v_call.task, v_request.conversation_id, v_request.path_id
    );
    v_answer := spend_private.replay(v_request.tenant_id, v_request.idempotency_key, p_call.request_hash);
    if v_answer.replayed then
      p_call.answer := v_answer;
      p_call.is_pending := false;
    end if;
  end if;
  return p_call;
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
    p_call.error := spend_private.error_answer(sqlstate, sqlerrm, v_detail, v_hint);
    p_call.is_pending := false;
    return p_call;
end;
$$;
comment on function spend_private.authorise_batched is
  'authorise_calls for one call. p_joined: tenants whose quotas are not being changed (tenant_key).';

create function spend_private.replay_repeated(p_batch spend_private.batched_call[])
returns spend_private.batched_call[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_call spend_private.batched_call;
  v_answer spend.reserve_result;
  v_detail text;
  v_hint text;
begin
  for v_place in 1..cardinality(p_batch) loop
    v_call := p_batch[v_place];
    continue when v_call.error is not null or (v_call.answer).allowed is not null;
    begin
      v_answer := spend_private.replay(
        (v_call.request).tenant_id, (v_call.request).idempotency_key, v_call.request_hash
      );
      if v_answer.replayed then
        v_call.answer := v_answer;
      else
        v_call.error := spend_private.busy_answer(
          jsonb_build_object('idempotency_key', (v_call.request).idempotency_key)
        );
      end if;
    exception
      when others then
        get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
        v_call.error := spend_private.error_answer(sqlstate, sqlerrm, v_detail, v_hint);
    end;
    p_batch[v_place] := v_call;
  end loop;
  return p_batch;
end;
$$;
comment on function spend_private.replay_repeated is
  'The answers of those calls of a batch whose idempotency key an earlier one has: what that was answered, or 55P03 where that failed.';
