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
  'Raises what an open reservation holds, and moves its expiry to ttl_seconds from now (never earlier than it was). usage is the new upper bound of the whole call, not an addition, so that a retry holds nothing twice; the hold never shrinks. Checked like a reserve, against the quotas and period of the reservation; refused: allowed = false, and the reservation stays as it was. Priced at the prices that the reservation was made at.
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
  'Checks that the tenant and user of a reservation may still spend. Raises 42501 not_a_member, PT403 tenant_closed. Open reservations are settled, released or expire all the same.';
