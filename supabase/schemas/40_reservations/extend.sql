create function spend.extend(
  reservation_id uuid,
  usage jsonb,
  ttl_seconds integer default 600,
  enforce boolean default true
)
returns spend.reserve_result
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.extend(
    extend.reservation_id, extend.usage, extend.ttl_seconds, extend.enforce
  );
end;
$$;
comment on function spend.extend is
  'Raises what an open reservation holds, and moves its expiry to ttl_seconds from now (never earlier than it was). usage is the new upper bound of the whole call, not an addition, so that asking twice holds nothing twice; the hold never shrinks. Checked like a reserve, against the quotas and period of the reservation; refused: allowed = false, and the reservation stays as it was. Priced at the prices that the reservation was made at.
Errors: 22023 invalid_usage, 42501 not_a_member (the reservation''s user has left), PT403 tenant_closed, PT404 unknown_reservation, PT409 reservation_ended, PT422 unpriced_product. For service_role.';
grant execute on function spend.extend to service_role;

create function spend_private.extend(
  p_reservation_id uuid,
  p_usage jsonb,
  p_ttl_seconds integer default 600,
  p_enforce boolean default true,
  p_now timestamptz default now()
)
returns spend.reserve_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_reservation spend.reservations := spend_private.lock_reservation(p_reservation_id);
  v_wrong text[] := spend_private.wrong_argument(null, null, null, p_ttl_seconds, '{}');
  v_answer spend.reserve_result;
  v_actual spend_private.actual_cost;
  v_extra_usd numeric;
begin
  if v_reservation.status <> 'held' then
    perform spend_private.fail(
      'PT409', 'reservation_ended',
      jsonb_build_object('reservation_id', p_reservation_id, 'status', v_reservation.status),
      'Only an open reservation can be extended. Make a new one.'
    );
  end if;
  perform spend_private.check_caller(v_reservation.tenant_id, v_reservation.user_id);
  if v_wrong is not null then
    perform spend_private.fail_usage(v_wrong[1], v_wrong[2]);
  end if;
  v_actual := spend_private.actual_cost(v_reservation, p_usage, p_is_bound => true);
  if v_actual.is_estimated then
    perform spend_private.fail_usage('usage', 'lacks a count or a price; an extension needs an upper bound');
  end if;

  v_extra_usd := greatest(v_actual.cost_usd - v_reservation.estimated_cost_usd, 0);
  v_answer := spend_private.hold_more(v_reservation, v_extra_usd, coalesce(p_enforce, true), p_now);
  v_answer.reservation_id := p_reservation_id;
  if not v_answer.allowed then
    v_answer.expires_at := v_reservation.expires_at;
    perform spend_private.count_refusal(v_reservation.tenant_id, v_reservation.user_id, v_answer, p_now);
    return v_answer;
  end if;

  v_answer.estimated_cost_usd := v_reservation.estimated_cost_usd + v_extra_usd;
  update spend.reservations as r set
    estimated_cost_usd = v_answer.estimated_cost_usd,
    usage_estimate = case when v_extra_usd > 0 then v_actual.usage else r.usage_estimate end,
    price_ids = case when v_extra_usd > 0 then v_actual.price_ids else r.price_ids end,
    expires_at = greatest(r.expires_at, p_now + make_interval(secs => p_ttl_seconds))
  where r.tenant_id = v_reservation.tenant_id and r.id = v_reservation.id
  returning r.expires_at into v_answer.expires_at;
  return v_answer;
end;
$$;
comment on function spend_private.extend is
  'spend.extend with a clock.';

create function spend_private.check_caller(p_tenant_id uuid, p_user_id uuid)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_closed_at timestamptz;
  v_is_member boolean;
begin
  select t.closed_at, p_user_id is null or m.user_id is not null
  into v_closed_at, v_is_member
  from spend.tenants as t
  left join spend.tenant_members as m on m.tenant_id = t.id and m.user_id = p_user_id
  where t.id = p_tenant_id;
  if v_is_member is not true then
    perform spend_private.fail_not_a_member(p_tenant_id, p_user_id);
  elsif v_closed_at is not null then
    perform spend_private.fail_tenant_closed(p_tenant_id, v_closed_at);
  end if;
end;
$$;
comment on function spend_private.check_caller is
  'Whose reservation it is may still spend. Raises 42501 not_a_member, PT403 tenant_closed. What runs already is settled, released or expires all the same.';

create function spend_private.hold_more(
  p_reservation spend.reservations,
  p_extra_usd numeric,
  p_enforce boolean,
  p_now timestamptz
)
returns spend.reserve_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_answer spend.reserve_result;
  v_hold spend.reservation_hold;
  v_quota spend.cost_quotas;
  v_is_enforced boolean;
  v_details spend.quota_details;
begin
  v_answer.allowed := true;
  v_answer.estimated_cost_usd := p_extra_usd;
  v_answer.replayed := false;
  v_answer.warnings := '{}';
  if p_extra_usd = 0 then
    return v_answer;
  end if;

  foreach v_hold in array p_reservation.holds loop
    select * into v_quota from spend.cost_quotas as q where q.id = v_hold.quota_id;
    continue when not found;

    v_is_enforced := p_enforce and v_quota.enforcement = 'block';
    if coalesce(
      spend_private.await_slot(
        v_hold.quota_id, v_hold.period_start, v_hold.slot, p_extra_usd,
        not v_is_enforced
      ),
      spend_private.make_room(
        v_hold.quota_id, v_hold.period_start, v_hold.slot, p_extra_usd,
        v_is_enforced
      )
    ) is null then
      v_details := spend_private.quota_details(v_quota, v_hold.period_start, p_extra_usd, p_now);
      if spend_private.refusal_reason(v_details) = 'limit_reached' then
        perform spend_private.record_alerts(
          v_quota, v_details, v_hold.period_start, p_reservation.tenant_id, p_now, p_is_refused => true
        );
      end if;
      v_answer.allowed := false;
      return spend_private.explain_refusal(
        v_answer, v_details, p_reservation.tenant_id, p_reservation.user_id, p_now
      );
    end if;
  end loop;

  v_answer.warnings := spend_private.warn(
    p_reservation.tenant_id, spend_private.move_balances(p_reservation.holds, p_extra_usd, 0),
    p_extra_usd, p_now
  );
  return v_answer;
end;
$$;
comment on function spend_private.hold_more is
  'Holds p_extra_usd more in every balance of an open reservation, or in none, and answers like reserve.';

create function spend_private.await_slot(
  p_quota_id bigint,
  p_period_start timestamptz,
  p_slot integer,
  p_cost_usd numeric,
  p_is_observed boolean
)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  perform from spend_private.quota_balances as b
  where b.quota_id = p_quota_id and b.period_start = p_period_start and b.slot = p_slot
    and case
      when b.is_split then b.allotted_usd - b.spent_usd - b.reserved_usd >= p_cost_usd
      else p_is_observed
    end
  for no key update;
  if found then
    return p_slot;
  end if;
  -- Leaving the block gives the lock back: who waits for other slots (make_room) must not own one of the middle.
  raise exception using errcode = 'SGROO', message = 'no_room_left';
exception
  when sqlstate 'SGROO' then
    return null;
end;
$$;
comment on function spend_private.await_slot is
  'Waits for a slot and returns it, locked, if it has room by then, or p_is_observed (the quota cannot refuse) and the whole is over its limit; else null, with nothing locked.';
