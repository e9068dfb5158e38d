create function spend_private.follow_deleted_quotas()
returns trigger
language plpgsql
-- Definer: see follow_quota_changes.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from old_quotas) then
    return null;
  end if;
  perform spend_private.stop_calls(array(select distinct o.tenant_id from old_quotas as o));
  delete from spend_private.quota_balances as b
  using old_quotas as o
  where b.quota_id = o.id;

  -- Without a row there would be no limit. Members who have left, and tenants that are gone, need none.
  insert into spend.cost_quotas (
    scope, tenant_id, scope_id, resource_type, period, limit_usd, warning_threshold, warning_thresholds,
    estimate_policy, slots, source
  )
  select
    p.scope, o.tenant_id, o.scope_id, p.resource_type, p.period, p.limit_usd, p.warning_threshold,
    p.warning_thresholds, p.estimate_policy,
    coalesce(p.slots, spend_private.default_slots(p.scope)), 'plan'
  from old_quotas as o
  join spend.tenants as t on t.id = o.tenant_id
  join spend.plan_quotas as p
    on p.plan_id = t.plan_id and p.scope = o.scope and p.resource_type = o.resource_type and p.period = o.period
  where o.source = 'manual' and o.task is null and o.product is null
    and (
      o.scope = 'tenant'
      or exists (select from spend.tenant_members as m where m.tenant_id = o.tenant_id and m.user_id = o.scope_id)
    )
  order by p.scope desc, o.scope_id, p.resource_type, p.period
  on conflict on constraint one_quota_per_subject do nothing;
  return null;
end;
$$;
comment on function spend_private.follow_deleted_quotas is
  'Trigger: the balances of a deleted quota go with it, and a plan''s quota that it overrode comes back. No foreign key does that: a call that opens a balance must not wait for a row of cost_quotas.';

create trigger follow_deleted_quotas after delete on spend.cost_quotas
referencing old table as old_quotas
for each statement execute function spend_private.follow_deleted_quotas();

create function spend_private.follow_truncated_quotas()
returns trigger
language plpgsql
-- Definer: see follow_quota_changes.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.stop_calls(array[null::uuid]);
  delete from spend_private.quota_balances;
  return null;
end;
$$;
comment on function spend_private.follow_truncated_quotas is
  'Trigger: see follow_deleted_quotas.';

create trigger follow_truncated_quotas after truncate on spend.cost_quotas
for each statement execute function spend_private.follow_truncated_quotas();
