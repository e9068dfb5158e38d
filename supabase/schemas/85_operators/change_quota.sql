create function spend.change_quota(
  quota_id bigint,
  limit_usd numeric default null,
  warning_threshold numeric default null,
  enforcement text default null,
  warning_thresholds numeric[] default null
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
    enforcement = coalesce(change_quota.enforcement, q.enforcement),
    warning_thresholds = coalesce(change_quota.warning_thresholds, q.warning_thresholds)
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
  'Changes the limit, the warning thresholds (warning_threshold alone: the lowest of them) or the enforcement (block, observe) of any quota, and answers the row as it is now; null leaves a value as it is. A quota that followed its plan does so no more (source manual). The next call is admitted by the new limit; spend.audit_log has the change under the operator''s name.
For operators of the role editor, and service_role. Errors: PT403 not_an_operator, PT404 unknown_quota, 22023 invalid_quota (field, allowed values), 55P03 when a lock is not had within 3 s (try again).';
grant execute on function spend.change_quota to authenticated, service_role;
