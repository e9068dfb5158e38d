create function spend.ensure_quotas(tenant_id uuid)
returns integer
language plpgsql volatile
-- Definer: no role may write quotas of source plan itself.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.lock_quota_changes();
  return spend_private.follow_plan(ensure_quotas.tenant_id);
end;
$$;
comment on function spend.ensure_quotas is
  'Brings the quotas of a tenant and its members in line with its plan: adds what is missing, updates and removes what the plan changed, keeps what was overridden by hand (source manual). Returns how many changed. Triggers and spend.maintain() do the same; call it yourself where neither runs. For service_role.';
grant execute on function spend.ensure_quotas to service_role;
