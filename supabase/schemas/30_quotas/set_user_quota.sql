create function spend.set_user_quota(
  tenant_id uuid,
  user_id uuid,
  resource_type text,
  period text,
  limit_usd numeric,
  warning_threshold numeric default null,
  warning_thresholds numeric[] default null
)
returns bigint
language plpgsql volatile
-- Definer: it says why a limit is refused, which a policy cannot. It allows what the policies on cost_quotas allow.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_quota spend.cost_quotas;
  v_is_operator boolean := spend_private.may_operate('editor');
  v_most numeric;
begin
  if not v_is_operator
    and not coalesce(set_user_quota.tenant_id = any (array(select spend_private.managed_tenant_ids())), false)
  then
    perform spend_private.fail(
      'PT403', 'not_an_admin', jsonb_build_object('tenant_id', set_user_quota.tenant_id),
      'Only owners and admins of the tenant, and operators of the role editor, set limits of its users.'
    );
  end if;
  if not exists (
    select from spend.tenant_members as m
    where m.tenant_id = set_user_quota.tenant_id and m.user_id = set_user_quota.user_id
  ) then
    perform spend_private.fail(
      'PT404', 'unknown_member',
      jsonb_build_object('tenant_id', set_user_quota.tenant_id, 'user_id', set_user_quota.user_id),
      'user_id: a member of the tenant. Insert the user into spend.tenant_members first.'
    );
  end if;
  -- Before what is looked at below: somebody else may be changing it.
  perform spend_private.lock_own_quota_changes();

  if set_user_quota.limit_usd is null then
    delete from spend.cost_quotas as q
    where q.tenant_id = set_user_quota.tenant_id and q.scope_id = set_user_quota.user_id
      and q.resource_type = set_user_quota.resource_type and q.period = set_user_quota.period
      and q.task is null and q.product is null and q.source = 'manual'
    returning q.id into v_quota.id;
    return v_quota.id;
  end if;

  if not v_is_operator then
    select min(q.limit_usd) into v_most
    from spend.cost_quotas as q
    where q.tenant_id = set_user_quota.tenant_id and q.scope_id = set_user_quota.tenant_id
      and q.resource_type = set_user_quota.resource_type and q.period = set_user_quota.period
      and q.task is null and q.product is null;
    if set_user_quota.limit_usd > v_most then
      perform spend_private.fail(
        'PT422', 'above_tenant_limit',
        jsonb_build_object('limit_usd', set_user_quota.limit_usd, 'at_most_usd', v_most),
        format('limit_usd: at most %s, the tenant''s own limit for the same resource type and period.', trim_scale(v_most))
      );
    end if;
    select min(p.limit_usd) into v_most
    from spend.tenants as t
    join spend.plan_quotas as p on p.plan_id = t.plan_id and p.scope = 'user'
    where t.id = set_user_quota.tenant_id
      and p.resource_type = set_user_quota.resource_type and p.period = set_user_quota.period;
    if set_user_quota.limit_usd > v_most then
      perform spend_private.fail(
        'PT422', 'above_plan_limit',
        jsonb_build_object('limit_usd', set_user_quota.limit_usd, 'at_most_usd', v_most),
        format('limit_usd: at most %s, which the plan gives its members. Only an operator may give more.', trim_scale(v_most))
      );
    end if;
  end if;

  update spend.cost_quotas as q
  set limit_usd = set_user_quota.limit_usd,
    warning_threshold = coalesce(set_user_quota.warning_threshold, q.warning_threshold),
    warning_thresholds = coalesce(set_user_quota.warning_thresholds, q.warning_thresholds)
  where q.tenant_id = set_user_quota.tenant_id and q.scope_id = set_user_quota.user_id
    and q.resource_type = set_user_quota.resource_type and q.period = set_user_quota.period
    and q.task is null and q.product is null
  returning q.* into v_quota;
  if not found then
    insert into spend.cost_quotas (
      scope, tenant_id, scope_id, resource_type, period, limit_usd, warning_threshold, warning_thresholds
    )
    values (
      'user', set_user_quota.tenant_id, set_user_quota.user_id, set_user_quota.resource_type, set_user_quota.period,
      set_user_quota.limit_usd, coalesce(set_user_quota.warning_threshold, 0.8), set_user_quota.warning_thresholds
    )
    returning * into v_quota;
  end if;
  return v_quota.id;
end;
$$;
comment on function spend.set_user_quota is
  'Sets the limit of a member for a resource type (llm, e2b, all) and period (hour, day, week, month, lifetime), and answers the quota''s id; limit_usd null removes a limit that was set by hand, and the member has the plan''s again (null when there was none). warning_thresholds: shares of the limit, each of which gets an alert; warning_threshold alone: the lowest of them. Null leaves them as they are. For owners and admins of the tenant: at most the tenant''s own limit, and what the plan gives its members; operators of the role editor and service_role may give more.
Errors: PT403 not_an_admin, PT404 unknown_member, PT422 above_tenant_limit, above_plan_limit, 22023 invalid_quota (field, allowed values).';
grant execute on function spend.set_user_quota to authenticated, service_role;
