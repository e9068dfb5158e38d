create function spend.change_plan_quota(
  plan_id text,
  scope text,
  resource_type text,
  period text,
  limit_usd numeric,
  warning_thresholds numeric[] default null
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
  -- Before what is looked at below: somebody else may be adding it.
  perform spend_private.lock_own_quota_changes();
  if change_plan_quota.limit_usd is null then
    delete from spend.plan_quotas as p
    where p.plan_id = change_plan_quota.plan_id and p.scope = change_plan_quota.scope
      and p.resource_type = change_plan_quota.resource_type and p.period = change_plan_quota.period
    returning p.* into v_quota;
    return v_quota;
  end if;
  update spend.plan_quotas as p
  set limit_usd = change_plan_quota.limit_usd,
    warning_thresholds = coalesce(change_plan_quota.warning_thresholds, p.warning_thresholds)
  where p.plan_id = change_plan_quota.plan_id and p.scope = change_plan_quota.scope
    and p.resource_type = change_plan_quota.resource_type and p.period = change_plan_quota.period
  returning p.* into v_quota;
  if not found then
    insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd, warning_thresholds)
    values (
      change_plan_quota.plan_id, change_plan_quota.scope, change_plan_quota.resource_type, change_plan_quota.period,
      change_plan_quota.limit_usd, change_plan_quota.warning_thresholds
    )
    returning * into v_quota;
  end if;
  return v_quota;
end;
$$;
comment on function spend.change_plan_quota is
  'Sets the limit that a plan gives its tenants (scope tenant) or their members (scope user), adds it where the plan has none, or, with limit_usd null, takes it away; answers the row as it is, or was. warning_thresholds: shares of the limit, each of which gets an alert; null leaves them as they are (0.8 alone where the plan had none). The plan''s tenants follow: spend.plan_progress says how far they are; quotas that were set by hand stay.
For operators of the role editor, and service_role. Errors: PT403 not_an_operator, PT404 unknown_plan, 22023 invalid_quota (field, allowed values), 55P03 when a lock is not had within 3 s (try again).';
grant execute on function spend.change_plan_quota to authenticated, service_role;
