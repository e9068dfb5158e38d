create function spend_private.fits_tenant(
  p_tenant_id uuid,
  p_user_id uuid,
  p_resource_type text,
  p_period text,
  p_limit_usd numeric
)
returns boolean
language plpgsql stable
-- Definer: a policy on cost_quotas that read cost_quotas itself would recurse.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from spend.tenant_members as m where m.tenant_id = p_tenant_id and m.user_id = p_user_id
  ) and not exists (
    select from spend.cost_quotas as q
    where q.tenant_id = p_tenant_id and q.scope_id = p_tenant_id
      and q.resource_type = p_resource_type and q.period = p_period
      and q.task is null and q.product is null
      and q.limit_usd < p_limit_usd
  ) and not exists (
    -- The operator's rule: an owner may be stricter, never more generous.
    select from spend.tenants as t
    join spend.plan_quotas as p on p.plan_id = t.plan_id and p.scope = 'user'
    where t.id = p_tenant_id and p.resource_type = p_resource_type and p.period = p_period
      and p.limit_usd < p_limit_usd
  );
end;
$$;
comment on function spend_private.fits_tenant is
  'Whether a limit of a user is at most what the plan gives its members, and at most the tenant''s own, for the same resource type and period (where the tenant has none, its other quotas still hold), and the user is its member. For RLS policies.';
grant execute on function spend_private.fits_tenant to authenticated;

create policy "owners and admins add their users' quotas up to the tenant's" on spend.cost_quotas
for insert to authenticated
with check (
  scope = 'user' and tenant_id = any (array(select spend_private.managed_tenant_ids()))
  and spend_private.fits_tenant(tenant_id, scope_id, resource_type, period, limit_usd)
);
create policy "owners and admins change their users' quotas up to the tenant's" on spend.cost_quotas
for update to authenticated
using (scope = 'user' and tenant_id = any (array(select spend_private.managed_tenant_ids())))
with check (
  scope = 'user' and tenant_id = any (array(select spend_private.managed_tenant_ids()))
  and spend_private.fits_tenant(tenant_id, scope_id, resource_type, period, limit_usd)
);
create policy "owners and admins remove their users' quotas, not the plan's" on spend.cost_quotas
for delete to authenticated
using (scope = 'user' and source = 'manual' and tenant_id = any (array(select spend_private.managed_tenant_ids())));

-- Whose quota it is, of what and for how long, is fixed once it is there; slots and enforcement are the operator's.
grant insert (scope, tenant_id, scope_id, resource_type, period, limit_usd, warning_threshold, warning_thresholds) on spend.cost_quotas to authenticated;
grant update (limit_usd, warning_threshold, warning_thresholds) on spend.cost_quotas to authenticated;
grant delete on spend.cost_quotas to authenticated;
