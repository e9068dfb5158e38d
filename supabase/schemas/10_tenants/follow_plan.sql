create function spend_private.lock_plan(p_tenant_id uuid)
returns spend.plans
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_plan_id text;
  v_plan spend.plans;
begin
  -- The tenant before its plan, in every transaction. Neither can change until this one ends, and the statements that
  -- follow see the latest change.
  select t.plan_id into v_plan_id from spend.tenants as t where t.id = p_tenant_id for share;
  select * into v_plan from spend.plans as p where p.id = v_plan_id for share;
  return v_plan;
end;
$$;
comment on function spend_private.lock_plan is
  'The plan of a tenant, locked until the transaction ends: seeding quotas from a plan and changing it wait for each other, so that no tenant misses a change.';

create function spend_private.plan_of(p_tenant_id uuid)
returns spend.plans
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select p from spend.tenants as t join spend.plans as p on p.id = t.plan_id where t.id = p_tenant_id);
end;
$$;
comment on function spend_private.plan_of is
  'The plan of a tenant, for who has locked changes of quotas: it cannot change, and a row that somebody renames makes nobody wait.';

create function spend_private.follow_plan(
  p_tenant_id uuid,
  p_user_id uuid default null,
  p_is_locked boolean default true
)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_plan spend.plans := case
    when p_is_locked then spend_private.plan_of(p_tenant_id) else spend_private.lock_plan(p_tenant_id)
  end;
  v_changed integer;
begin
  perform set_config('spend.seeding', 'on', true);
  with wanted as (
    select p.scope, p_tenant_id as tenant_id, s.scope_id, p.resource_type, p.period, p.limit_usd,
      p.warning_threshold, p.warning_thresholds, p.estimate_policy, coalesce(p.slots, spend_private.default_slots(p.scope)) as slots
    from spend.plan_quotas as p
    cross join lateral (
      select p_tenant_id as scope_id where p.scope = 'tenant'
      union all
      select m.user_id from spend.tenant_members as m where m.tenant_id = p_tenant_id and p.scope = 'user'
    ) as s
    where p.plan_id = v_plan.id and (p_user_id is null or s.scope_id = p_user_id)
  ),

  removed as (
    delete from spend.cost_quotas as q
    where q.tenant_id = p_tenant_id and q.source = 'plan'
      and (p_user_id is null or q.scope_id = p_user_id)
      and not exists (
        select from wanted as w
        where w.scope_id = q.scope_id and w.resource_type = q.resource_type and w.period = q.period
      )
    returning q.id
  ),

  seeded as (
    insert into spend.cost_quotas as q (
      scope, tenant_id, scope_id, resource_type, period, limit_usd, warning_threshold, warning_thresholds,
      estimate_policy, slots, source
    )
    select
      w.scope, w.tenant_id, w.scope_id, w.resource_type, w.period, w.limit_usd, w.warning_threshold,
      w.warning_thresholds, w.estimate_policy, w.slots, 'plan'
    from wanted as w
    -- In lock order, as every change of several quotas.
    order by w.scope desc, w.scope_id, w.resource_type, w.period
    on conflict on constraint one_quota_per_subject do update set
      limit_usd = excluded.limit_usd, warning_threshold = excluded.warning_threshold,
      warning_thresholds = excluded.warning_thresholds,
      estimate_policy = excluded.estimate_policy, slots = excluded.slots,
      -- Tells complete_quota that the plan writes; owners have no grant on this column.
      source = 'following'
    where q.source = 'plan'
      and (q.limit_usd, q.warning_thresholds, q.estimate_policy, q.slots)
        is distinct from (excluded.limit_usd, excluded.warning_thresholds, excluded.estimate_policy, excluded.slots)
    returning q.id
  )

  select (select count(*) from removed) + (select count(*) from seeded) into v_changed;
  perform set_config('spend.seeding', 'off', true);

  update spend.tenant_members as m set is_seeded = true
  where m.tenant_id = p_tenant_id and not m.is_seeded and (p_user_id is null or m.user_id = p_user_id);
  if p_user_id is null then
    update spend.tenants as t set plan_version = v_plan.version
    where t.id = p_tenant_id and t.plan_version <> v_plan.version;
  end if;
  return v_changed;
end;
$$;
comment on function spend_private.follow_plan is
  'spend.ensure_quotas, for one member only where p_user_id is given. p_is_locked: the caller has locked changes of quotas (lock_quota_changes); false where the tenant or member is new, and there is nothing to count.';
