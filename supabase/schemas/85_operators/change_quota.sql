create function spend.change_quota(
  quota_id bigint,
  limit_usd numeric default null,
  warning_threshold numeric default null,
  enforcement text default null
)
returns spend.cost_quotas
language plpgsql volatile
-- Definer: who may is decided here; quotas have policies for owners alone.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_quota spend.cost_quotas;
begin
  perform spend_private.demand_operator('editor');
  update spend.cost_quotas as q
  set limit_usd = coalesce(change_quota.limit_usd, q.limit_usd),
    warning_threshold = coalesce(change_quota.warning_threshold, q.warning_threshold),
    enforcement = coalesce(change_quota.enforcement, q.enforcement)
  where q.id = change_quota.quota_id
  returning q.* into v_quota;
  if not found then
    perform spend_private.fail(
      'PT404', 'unknown_quota', jsonb_build_object('quota_id', change_quota.quota_id),
      'quota_id: the id of a row of spend.cost_quotas.'
    );
  end if;
  return v_quota;
end;
$$;
comment on function spend.change_quota is
  'Changes the limit, warning threshold or enforcement (block, observe) of any quota, and answers the row as it is now; null leaves a value as it is. A quota that followed its plan does so no more (source manual). The next call is admitted by the new limit; spend.audit_log has the change under the operator''s name.
For operators of the role editor, and service_role. Errors: PT403 not_an_operator, PT404 unknown_quota, 22023 invalid_quota (field, allowed values), 55P03 when a lock is not had within 3 s (try again).';
grant execute on function spend.change_quota to authenticated, service_role;

create function spend.change_plan_quota(
  plan_id text,
  scope text,
  resource_type text,
  period text,
  limit_usd numeric
)
returns spend.plan_quotas
language plpgsql volatile
-- Definer: see change_quota.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_quota spend.plan_quotas;
begin
  perform spend_private.demand_operator('editor');
  if change_plan_quota.limit_usd is null then
    delete from spend.plan_quotas as p
    where p.plan_id = change_plan_quota.plan_id and p.scope = change_plan_quota.scope
      and p.resource_type = change_plan_quota.resource_type and p.period = change_plan_quota.period
    returning p.* into v_quota;
    return v_quota;
  end if;
  update spend.plan_quotas as p
  set limit_usd = change_plan_quota.limit_usd
  where p.plan_id = change_plan_quota.plan_id and p.scope = change_plan_quota.scope
    and p.resource_type = change_plan_quota.resource_type and p.period = change_plan_quota.period
  returning p.* into v_quota;
  if not found then
    insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
    values (
      change_plan_quota.plan_id, change_plan_quota.scope, change_plan_quota.resource_type, change_plan_quota.period,
      change_plan_quota.limit_usd
    )
    returning * into v_quota;
  end if;
  return v_quota;
end;
$$;
comment on function spend.change_plan_quota is
  'Sets the limit that a plan gives its tenants (scope tenant) or their members (scope user), adds it where the plan has none, or, with limit_usd null, takes it away; answers the row as it is, or was. The plan''s tenants follow: spend.plan_progress says how far they are; quotas that were set by hand stay.
For operators of the role editor, and service_role. Errors: PT403 not_an_operator, PT404 unknown_plan, 22023 invalid_quota (field, allowed values), 55P03 when a lock is not had within 3 s (try again).';
grant execute on function spend.change_plan_quota to authenticated, service_role;
