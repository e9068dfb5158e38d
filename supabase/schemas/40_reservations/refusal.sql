create function spend_private.refusal(
  p_quotas spend_private.applicable_quota[],
  p_call spend_private.call,
  p_enforce boolean,
  p_now timestamptz
)
returns spend.reserve_result
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_answer spend.reserve_result;
  v_quota spend_private.applicable_quota;
  v_details spend.quota_details;
  v_reason text;
begin
  v_answer.allowed := true;
  v_answer.estimated_cost_usd := p_call.cost_usd;
  v_answer.replayed := false;

  foreach v_quota in array coalesce(p_quotas, '{}') loop
    continue when v_quota.has_room or not v_quota.is_enforced or not p_enforce;

    v_details := spend_private.quota_details(
      v_quota.quota_id, v_quota.period_start, p_call.cost_usd, p_now
    );
    v_reason := spend_private.refusal_reason(v_details);
    -- Of several refusals, answer with the one that lasts longest.
    if v_reason is not null and (
      v_answer.allowed
      or (v_reason = 'exceeds_limit' and v_answer.reason <> 'exceeds_limit')
      or (v_reason = 'limit_reached' and v_answer.reason = 'in_flight')
      or (
        v_reason = 'limit_reached' and v_answer.reason = 'limit_reached'
        and coalesce(v_details.period_end, 'infinity') > coalesce((v_answer.quota).period_end, 'infinity')
      )
    ) then
      v_answer.allowed := false;
      v_answer.reason := v_reason;
      v_answer.quota := v_details;
    end if;
  end loop;

  if v_answer.allowed then
    return v_answer;
  end if;
  return spend_private.explain_refusal(v_answer, v_answer.quota, p_call.tenant_id, p_call.user_id, p_now);
end;
$$;
comment on function spend_private.refusal is
  'The answer that the quotas without room give: allowed = false with reason, message, retry_after in seconds and the quota to name, else allowed = true. Takes no lock: true at the moment of the look.';

create function spend_private.explain_refusal(
  p_answer spend.reserve_result,
  p_quota spend.quota_details,
  p_tenant_id uuid,
  p_user_id uuid,
  p_now timestamptz
)
returns spend.reserve_result
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  p_answer.quota := p_quota;
  p_answer.reason := spend_private.refusal_reason(p_quota);
  p_answer.message := spend_private.refusal_message(p_answer.reason, p_quota);
  p_answer.retry_after := case p_answer.reason
    when 'limit_reached' then ceil(extract(epoch from p_quota.period_end - p_now))
    when 'in_flight' then spend_private.seconds_until_hold_ends(
      p_quota.scope, p_tenant_id, p_user_id, p_now
    )
  end;
  p_answer.warnings := '{}';
  return p_answer;
end;
$$;
comment on function spend_private.explain_refusal is
  'Fills in a refusal by p_quota: reason, message, and in retry_after the seconds until the period ends (limit_reached), until the oldest hold is expected to end (in_flight), or null.';

create function spend_private.refusal_reason(p_quota spend.quota_details)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when p_quota.limit_usd > 0 and (
      p_quota.estimated_cost_usd = 0
      or p_quota.current_spend_usd + p_quota.estimated_cost_usd <= p_quota.limit_usd
    ) then null
    when p_quota.estimated_cost_usd > p_quota.limit_usd or p_quota.limit_usd = 0 then 'exceeds_limit'
    when p_quota.spent_usd + p_quota.estimated_cost_usd > p_quota.limit_usd then 'limit_reached'
    else 'in_flight'
  end;
end;
$$;
comment on function spend_private.refusal_reason is
  'Why a quota refuses: exceeds_limit (the call by itself exceeds the limit), limit_reached (what is spent leaves no room), in_flight (what is held leaves no room), or null when it does not: as for a call that costs nothing, wherever the limit is above zero.';

create function spend_private.refusal_message(p_reason text, p_quota spend.quota_details)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return format(
    case p_reason
      when 'exceeds_limit' then 'This call may cost $%s, more than the %s quota of $%s per %s for %s allows.'
      when 'limit_reached' then 'This call may cost $%s; the %s quota of $%s per %s for %s has $%s left.'
      else 'This call may cost $%s; open calls hold what is left of the %s quota of $%s per %s for %s. Try again soon.'
    end,
    trim_scale(p_quota.estimated_cost_usd), p_quota.scope, trim_scale(p_quota.limit_usd), p_quota.period,
    case p_quota.resource_type when 'all' then 'all resources' else p_quota.resource_type end,
    trim_scale(p_quota.remaining_usd)
  );
end;
$$;
comment on function spend_private.refusal_message is
  'The refusal as a sentence, for people.';

create function spend_private.seconds_until_hold_ends(
  p_scope text,
  p_tenant_id uuid,
  p_user_id uuid,
  p_now timestamptz
)
returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- Walks the index until it has found enough: a bitmap would be gathered from all of it first.
set enable_bitmapscan = 'off'
as $$
declare
  v_created_at timestamptz;
  v_expires_at timestamptz;
  v_duration interval;
begin
  if p_scope = 'platform' then
    select r.created_at, r.expires_at into v_created_at, v_expires_at
    from spend.reservations as r
    where r.status = 'held'
    order by r.expires_at limit 1;
  else
    select r.created_at, r.expires_at into v_created_at, v_expires_at
    from spend.reservations as r
    where r.tenant_id = p_tenant_id and r.status = 'held'
      and (p_scope <> 'user' or r.user_id = p_user_id)
    order by r.id limit 1;
  end if;

  -- The average of this tenant's recent calls; half a minute without any.
  select avg(l.ended_at - l.created_at) into v_duration
  from (
    select r.ended_at, r.created_at
    from spend.reservations as r
    where r.tenant_id = p_tenant_id and r.status = 'settled'
    order by r.id desc limit 20
  ) as l;

  return greatest(1, ceil(extract(epoch from least(
    v_created_at + coalesce(v_duration, interval '30 seconds'), v_expires_at
  ) - p_now)));
end;
$$;
comment on function spend_private.seconds_until_hold_ends is
  'Seconds until the oldest open hold of a scope is expected to end: after as long as this tenant''s last 20 calls took, never later than its expiry, at least 1.';
