create type spend_private.call_request as (
  tenant_id uuid,
  user_id uuid,
  resource_type text,
  usage jsonb,
  task text,
  conversation_id text,
  path_id text,
  idempotency_key text,
  ttl_seconds integer,
  enforce boolean,
  metadata jsonb
);
comment on type spend_private.call_request is
  'The arguments of reserve.';

create type spend_private.batched_call as (
  is_pending boolean,
  request spend_private.call_request,
  request_hash uuid,
  call spend_private.call,
  quotas spend_private.applicable_quota[],
  answer spend.reserve_result,
  error jsonb
);
comment on type spend_private.batched_call is
  'A call of reserve_many, and what is known of it so far. is_pending: to be decided; with neither answer nor error it is one whose idempotency key an earlier call of the batch has. request_hash: as in spend.reservations; quotas: those that it counts in, in lock order.';

create type spend_private.batched_quota as (
  quota spend_private.applicable_quota,
  tenant_id uuid,
  call_usd numeric,
  cost_usd numeric,
  hold spend.reservation_hold,
  is_below_threshold boolean,
  room_usd numeric,
  error jsonb
);
comment on type spend_private.batched_quota is
  'A quota that calls of a batch count in, and their cost. tenant_id, call_usd: that of the first of them, and its own cost. hold: the balance that holds cost_usd. room_usd: what the quota has left; all its slots are locked, and nothing is held yet. error: why its calls fail.';

create type spend_private.settlement as (
  reservation_id uuid,
  usage jsonb,
  metadata jsonb
);
comment on type spend_private.settlement is
  'The arguments of settle.';

create type spend_private.batched_settlement as (
  is_pending boolean,
  request spend_private.settlement,
  reservation spend.reservations,
  actual spend_private.actual_cost,
  answer spend.settle_result,
  error jsonb
);
comment on type spend_private.batched_settlement is
  'A settlement of settle_many, and what is known of it so far. is_pending: neither answered nor failed yet. reservation: as it is locked.';

create function spend_private.demand_batch(p_field text, p_elements jsonb)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(p_elements) is distinct from 'array' or jsonb_array_length(p_elements) not between 1 and 100 then
    perform spend_private.fail_usage(p_field, 'is not an array of 1 to 100 elements');
  end if;
end;
$$;
comment on function spend_private.demand_batch is
  'Raises 22023 invalid_usage when p_elements, the argument p_field, is no batch: a batch is one transaction, whose locks others wait for.';

create function spend_private.demand_keys(p_element jsonb, p_known text[])
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(p_element) is distinct from 'object' then
    perform spend_private.fail_usage('element', 'is not an object');
  elsif p_element - p_known <> '{}' then
    perform spend_private.fail_usage(k.key, 'is not a known key')
    from jsonb_object_keys(p_element - p_known) as k (key);
  end if;
end;
$$;
comment on function spend_private.demand_keys is
  'Raises 22023 invalid_usage when an element of a batch is no object, or has another key than p_known.';

create function spend_private.error_answer(p_sqlstate text, p_message text, p_detail text, p_hint text)
returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object(
    'code', p_sqlstate, 'message', p_message, 'details', nullif(p_detail, ''), 'hint', nullif(p_hint, '')
  );
end;
$$;
comment on function spend_private.error_answer is
  'An error as the Data API words it.';

create function spend_private.busy_answer(p_subject jsonb)
returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.error_answer(
    '55P03', 'lock_not_available', p_subject::text, 'Another transaction has it locked. Try again.'
  );
end;
$$;
comment on function spend_private.busy_answer is
  'The error of an element of a batch that another transaction keeps waiting: the batch does not make its other elements wait for it.';

create function spend_private.join_calls_of(p_tenant_keys integer[])
returns integer[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_key integer;
  v_joined integer[] := '{}';
begin
  foreach v_key in array p_tenant_keys loop
    if spend_private.try_join_calls(v_key) then
      v_joined := v_joined || v_key;
    end if;
  end loop;
  -- Waits only where it has no lock yet that a change of quotas may wait for. Also locks the table, after the tenants.
  v_key := coalesce(v_joined[1], p_tenant_keys[1]);
  if v_key is not null then
    perform spend_private.join_calls(v_key);
    v_joined := v_joined || v_key;
  end if;
  return v_joined;
end;
$$;
comment on function spend_private.join_calls_of is
  'join_calls for a batch: returns the keys of those tenants whose quotas are not being changed; where all are, waits for the first. Raises 55P03.';
