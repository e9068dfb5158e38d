create function spend.check_quota(
  tenant_id uuid,
  user_id uuid,
  resource_type text,
  usage jsonb,
  task text default 'chat'
)
returns spend.reserve_result
language plpgsql stable
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.check_quota(
    check_quota.tenant_id, check_quota.user_id, check_quota.resource_type, check_quota.usage,
    check_quota.task
  );
end;
$$;
comment on function spend.check_quota is
  'What reserve would answer now. Holds nothing, locks nothing, writes nothing; a later reserve may get another answer. Errors: as reserve. For service_role.';
grant execute on function spend.check_quota to service_role;

create function spend_private.check_quota(
  p_tenant_id uuid,
  p_user_id uuid,
  p_resource_type text,
  p_usage jsonb,
  p_task text default 'chat',
  p_now timestamptz default now()
)
returns spend.reserve_result
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_call spend_private.call := spend_private.authorise_call(
    p_tenant_id, p_user_id, p_resource_type, p_usage, p_task, p_now
  );
  v_quotas spend_private.applicable_quota[] := spend_private.applicable_quotas(v_call, true, p_now);
  v_held spend_private.call := spend_private.call_to_hold(v_call, v_quotas, p_now);
  v_answer spend.reserve_result;
begin
  if v_held.cost_usd < v_call.cost_usd then
    v_call := v_held;
    v_quotas := spend_private.applicable_quotas(v_call, true, p_now);
  end if;
  v_answer := spend_private.refusal(v_quotas, v_call, true, p_now);
  v_answer.warnings := coalesce((
    select array_agg(d.details)
    from unnest(v_quotas) with ordinality as q
    cross join lateral (
      select spend_private.quota_details(q.quota_id, q.period_start, v_call.cost_usd, p_now) as details
    ) as d
    join spend.cost_quotas as c on c.id = q.quota_id
    where (d.details).current_spend_usd >= c.warning_threshold * (d.details).limit_usd
  ), '{}');
  return v_answer;
end;
$$;
comment on function spend_private.check_quota is
  'spend.check_quota with a clock.';
