create function spend.settle_many(settlements jsonb)
returns setof spend.settle_many_result
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return query select * from spend_private.settle_many(settle_many.settlements);
end;
$$;
comment on function spend.settle_many is
  'Charges the real costs of up to 100 reservations in one transaction, and answers each in its place as settle does, or with the error that settle would have raised, while the others go on.
settlements: an array of objects with the arguments of settle by name, and its defaults: [{"reservation_id", "usage", "metadata"}].
A settlement that another transaction keeps waiting may answer with error.code 55P03: try it again, with settle.
Errors: 22023 invalid_usage when settlements is no such array, 55P03 when a lock is not granted: nothing is booked, send them by settle. For service_role.';
grant execute on function spend.settle_many to service_role;

create function spend_private.settle_many(p_settlements jsonb, p_now timestamptz default now())
returns setof spend.settle_many_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Before the reservations are locked.
  v_is_first boolean := pg_current_xact_id_if_assigned() is null;
  v_batch spend_private.batched_settlement[];
begin
  perform spend_private.demand_batch('settlements', p_settlements);
  v_batch := spend_private.read_settlements(p_settlements);
  v_batch := spend_private.price_settlements(spend_private.lock_reservations(v_batch));
  v_batch := spend_private.book_together(v_batch, p_now, v_is_first);
  v_batch := spend_private.book_apart(v_batch, p_now);
  return query
    select
      coalesce(a.reservation_id, (a.request).reservation_id), a.status, a.cost_usd, a.estimated_cost_usd, a.is_estimated,
      a.warnings, a.error
    from (
      select (b.answer).*, b.request, b.error
      from unnest(v_batch) as b
    ) as a;
end;
$$;
comment on function spend_private.settle_many is
  'spend.settle_many with a clock.';

create function spend_private.read_settlements(p_settlements jsonb)
returns spend_private.batched_settlement[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_default spend_private.settlement := row(null, null, '{}');
  v_element jsonb;
  v_settlement spend_private.batched_settlement;
  v_batch spend_private.batched_settlement[] := '{}';
  v_detail text;
  v_hint text;
begin
  for v_element in select e.value from jsonb_array_elements(p_settlements) as e loop
    v_settlement := null;
    v_settlement.is_pending := false;
    begin
      perform spend_private.demand_keys(v_element, array['reservation_id', 'usage', 'metadata']);
      v_settlement.request := jsonb_populate_record(v_default, v_element);
      if jsonb_typeof((v_settlement.request).metadata) <> 'object'
        or pg_column_size((v_settlement.request).metadata) > 8192
      then
        perform spend_private.fail_usage('metadata', 'is not an object of at most 8 KiB');
      end if;
      v_settlement.is_pending := true;
    exception
      when others then
        get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
        v_settlement.error := spend_private.error_answer(sqlstate, sqlerrm, v_detail, v_hint);
    end;
    v_batch := v_batch || v_settlement;
  end loop;
  return v_batch;
end;
$$;
comment on function spend_private.read_settlements is
  'The settlements of a batch, in their order; one that cannot be read has its error.';

create function spend_private.lock_reservations(p_batch spend_private.batched_settlement[])
returns spend_private.batched_settlement[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_joined integer[] := spend_private.join_calls_of(array(
    select distinct spend_private.reservation_tenant_key((b.request).reservation_id) as tenant_key
    from unnest(p_batch) as b
    where b.is_pending and (b.request).reservation_id is not null
    order by tenant_key
  ));
  v_locked spend.reservations[];
  v_ids uuid[];
  v_id uuid;
begin
  -- Without waiting: whoever has one of them locked may wait for the balances that another of the batch needs.
  v_locked := array(
    select l.reservation
    from (
      select distinct (b.request).reservation_id as id
      from unnest(p_batch) as b
      where b.is_pending and spend_private.reservation_tenant_key((b.request).reservation_id) = any (v_joined)
    ) as i
    cross join lateral (
      select r as reservation
      from spend.reservations as r
      where r.id = i.id and r.tenant_id = any (array(
        select t.id from spend.tenants as t
        where spend_private.tenant_key(t.id) = spend_private.reservation_tenant_key(i.id)
      ))
      for no key update skip locked
    ) as l
  );
  v_ids := array(select r.id from unnest(v_locked) as r);
  for v_place in 1..cardinality(p_batch) loop
    continue when not p_batch[v_place].is_pending;
    v_id := (p_batch[v_place].request).reservation_id;
    if v_id = any (v_ids) then
      p_batch[v_place].reservation := v_locked[array_position(v_ids, v_id)];
    else
      p_batch[v_place].error := spend_private.missing_reservation(v_id);
      p_batch[v_place].is_pending := false;
    end if;
  end loop;
  return p_batch;
end;
$$;
comment on function spend_private.lock_reservations is
  'lock_reservation for each of a batch, without waiting: one that another transaction has locked gets 55P03.';

create function spend_private.missing_reservation(p_reservation_id uuid)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  if exists (
    select from spend.reservations as r
    where r.id = p_reservation_id and r.tenant_id = any (array(
      select t.id from spend.tenants as t
      where spend_private.tenant_key(t.id) = spend_private.reservation_tenant_key(p_reservation_id)
    ))
  ) then
    return spend_private.busy_answer(jsonb_build_object('reservation_id', p_reservation_id));
  end if;
  return spend_private.error_answer(
    'PT404', 'unknown_reservation', jsonb_build_object('reservation_id', p_reservation_id)::text,
    'Pass the reservation_id that reserve returned.'
  );
end;
$$;
comment on function spend_private.missing_reservation is
  'The error of a settlement whose reservation a batch could not lock: 55P03, or PT404 unknown_reservation where there is none.';

create function spend_private.price_settlements(p_batch spend_private.batched_settlement[])
returns spend_private.batched_settlement[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_settlement spend_private.batched_settlement;
  v_detail text;
  v_hint text;
begin
  for v_place in 1..cardinality(p_batch) loop
    v_settlement := p_batch[v_place];
    continue when not v_settlement.is_pending;
    begin
      if (v_settlement.reservation).status = 'settled' then
        v_settlement.answer := spend_private.settle_answer(v_settlement.reservation);
        v_settlement.is_pending := false;
      else
        v_settlement.actual := spend_private.actual_cost(v_settlement.reservation, (v_settlement.request).usage);
        v_settlement.actual.is_estimated := (v_settlement.actual).is_estimated
          or coalesce((v_settlement.request).metadata @> '{"is_estimated": true}', false);
      end if;
    exception
      when others then
        get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
        v_settlement.error := spend_private.error_answer(sqlstate, sqlerrm, v_detail, v_hint);
        v_settlement.is_pending := false;
    end;
    p_batch[v_place] := v_settlement;
  end loop;
  return p_batch;
end;
$$;
comment on function spend_private.price_settlements is
  'Prices the pending settlements of a batch (actual_cost), and answers those that were made before.';

create function spend_private.book_together(
  p_batch spend_private.batched_settlement[],
  p_now timestamptz,
  p_is_first boolean
)
returns spend_private.batched_settlement[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_settlement spend_private.batched_settlement;
  v_usual spend_private.batched_settlement[] := '{}';
  v_ids uuid[] := '{}';
  v_seen uuid[] := '{}';
  v_at integer;
begin
  foreach v_settlement in array p_batch loop
    continue when not v_settlement.is_pending;
    -- Of several settlements of one reservation, the first.
    if (v_settlement.reservation).status = 'held'
      and (v_settlement.actual).cost_usd <= (v_settlement.reservation).estimated_cost_usd
      and (v_settlement.reservation).id <> all (v_seen)
    then
      v_usual := v_usual || v_settlement;
      v_ids := v_ids || (v_settlement.reservation).id;
    end if;
    v_seen := v_seen || (v_settlement.reservation).id;
  end loop;
  if cardinality(v_usual) = 0 then
    return p_batch;
  end if;
  -- As in settle, where these are all that the request to the API asks for.
  if p_is_first and cardinality(v_usual) = cardinality(p_batch)
    and current_setting('request.path', true) = '/rpc/settle_many' then
    perform set_config('synchronous_commit', 'off', true) from spend.settings as s where s.settle_asynchronously;
  end if;

  v_usual := spend_private.book_usual(v_usual, p_now, p_is_first);
  for v_place in 1..cardinality(p_batch) loop
    v_at := array_position(v_ids, (p_batch[v_place].reservation).id);
    if p_batch[v_place].is_pending and v_at is not null then
      p_batch[v_place] := v_usual[v_at];
      v_ids[v_at] := null;
    end if;
  end loop;
  return p_batch;
end;
$$;
comment on function spend_private.book_together is
  'Books those settlements of a batch that cost no more than is held: each balance is locked and written once for all of them, in the lock order over the whole batch.';

create function spend_private.book_usual(
  p_usual spend_private.batched_settlement[],
  p_now timestamptz,
  p_is_first boolean
)
returns spend_private.batched_settlement[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- Shorter than it takes to find a deadlock: what comes after a wait is out of order.
set lock_timeout = '700ms'
as $$
begin
  return spend_private.book_at_once(p_usual, p_now, p_is_first);
exception
  -- One of them cannot be booked, or would have to wait: book_apart finds out which.
  when others then
    return p_usual;
end;
$$;
comment on function spend_private.book_usual is
  'book_at_once, or nothing: where one of them fails, or a balance stays locked, all stay pending (book_apart).';

create function spend_private.book_at_once(
  p_usual spend_private.batched_settlement[],
  p_now timestamptz,
  p_is_first boolean
)
returns spend_private.batched_settlement[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_settlement spend_private.batched_settlement;
  v_at_threshold spend.reservation_hold[];
  v_warnings spend.quota_details[];
begin
  insert into spend.cost_events (
    tenant_id, occurred_at, booked_at, kind, reservation_id, user_id, conversation_id, path_id,
    task, resource_type, provider, product, usage, cost_usd, calls, price_ids, is_estimated, metadata
  )
  select
    (u.reservation).tenant_id, (u.reservation).created_at, p_now, 'charge', (u.reservation).id,
    (u.reservation).user_id, (u.reservation).conversation_id, (u.reservation).path_id, (u.reservation).task,
    (u.reservation).resource_type, (u.reservation).provider, (u.reservation).product, (u.actual).usage,
    (u.actual).cost_usd, 1, (u.actual).price_ids, (u.actual).is_estimated,
    (u.reservation).metadata || coalesce((u.request).metadata, '{}')
  from unnest(p_usual) as u;

  update spend.reservations as r set
    status = 'settled', actual_cost_usd = (u.actual).cost_usd, is_estimated = (u.actual).is_estimated, ended_at = p_now
  from unnest(p_usual) as u
  where r.tenant_id = (u.reservation).tenant_id and r.id = any (array[(u.reservation).id]);

  -- Balances last: others wait for them, so they are locked for the shortest time.
  v_at_threshold := spend_private.move_holds(
    array(select u.reservation from unnest(p_usual) as u), array(select (u.actual).cost_usd from unnest(p_usual) as u),
    p_is_first
  );
  v_warnings := spend_private.record_settled_warnings(p_usual, v_at_threshold, p_now);
  for v_place in 1..cardinality(p_usual) loop
    v_settlement := p_usual[v_place];
    v_settlement.is_pending := false;
    v_settlement.answer := row(
      (v_settlement.reservation).id, 'settled', (v_settlement.actual).cost_usd::numeric(24, 12),
      (v_settlement.reservation).estimated_cost_usd::numeric, (v_settlement.actual).is_estimated,
      spend_private.warnings_for(
        v_warnings, array(select h.quota_id from unnest((v_settlement.reservation).holds) as h),
        (v_settlement.actual).cost_usd
      )
    );
    p_usual[v_place] := v_settlement;
  end loop;
  return p_usual;
end;
$$;
comment on function spend_private.book_at_once is
  'Books settlements of open calls that cost no more than is held, as book does, each with its answer.';

create function spend_private.record_settled_warnings(
  p_settled spend_private.batched_settlement[],
  p_holds spend.reservation_hold[],
  p_now timestamptz
)
returns spend.quota_details[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_hold spend.reservation_hold;
  v_last spend.reservation_hold;
  v_call record;
  v_warnings spend.quota_details[] := '{}';
begin
  foreach v_hold in array p_holds loop
    -- Once for all slots of a quota.
    continue when (v_hold.quota_id, v_hold.period_start) = (v_last.quota_id, v_last.period_start);
    v_last := v_hold;
    select (s.reservation).tenant_id, (s.actual).cost_usd into v_call
    from unnest(p_settled) as s
    where v_hold.quota_id in (select h.quota_id from unnest((s.reservation).holds) as h)
    limit 1;
    v_warnings := v_warnings || spend_private.record_warnings(
      v_call.tenant_id,
      array[v_hold], v_call.cost_usd, p_now
    );
  end loop;
  return v_warnings;
end;
$$;
comment on function spend_private.record_settled_warnings is
  'record_warnings for a batch that was settled. p_holds: balances whose quotas may be at or above their warning threshold, in lock order.';

create function spend_private.book_apart(p_batch spend_private.batched_settlement[], p_now timestamptz)
returns spend_private.batched_settlement[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_settlement spend_private.batched_settlement;
  v_answer spend.settle_result;
begin
  for v_place in 1..cardinality(p_batch) loop
    v_settlement := p_batch[v_place];
    continue when not v_settlement.is_pending;
    v_answer := (
      select b.answer from unnest(p_batch) as b
      where (b.answer).reservation_id = (v_settlement.reservation).id
      limit 1
    );
    if v_answer.reservation_id is not null then
      v_answer.warnings := '{}';
      v_settlement.answer := v_answer;
    else
      v_settlement := spend_private.book_without_order(v_settlement, p_now);
    end if;
    v_settlement.is_pending := false;
    p_batch[v_place] := v_settlement;
  end loop;
  return p_batch;
end;
$$;
comment on function spend_private.book_apart is
  'Books the other settlements of a batch one by one: of calls that cost more than was held, or ended otherwise before. One whose reservation the batch settles already gets that answer.';

create function spend_private.book_without_order(
  p_settlement spend_private.batched_settlement,
  p_now timestamptz
)
returns spend_private.batched_settlement
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- The balances of those before it are locked, and these come out of order. While one waits so, whoever has waited for a
-- second finds a deadlock, and fails for it: nobody waits.
set lock_timeout = '1ms'
as $$
declare
  v_detail text;
  v_hint text;
begin
  p_settlement.answer := spend_private.book(
    p_settlement.reservation, 'settled', p_settlement.actual, (p_settlement.request).metadata, p_now
  );
  return p_settlement;
exception
  when lock_not_available then
    p_settlement.error := spend_private.busy_answer(
      jsonb_build_object('reservation_id', (p_settlement.reservation).id)
    );
    return p_settlement;
  when others then
    get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
    p_settlement.error := spend_private.error_answer(sqlstate, sqlerrm, v_detail, v_hint);
    return p_settlement;
end;
$$;
comment on function spend_private.book_without_order is
  'Books one settlement of a batch whose other balances are locked already: fails with 55P03 where it would wait for a lock.';
