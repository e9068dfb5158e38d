create function spend_private.follow_quota_changes()
returns trigger
language plpgsql
-- Definer: balances are written by nobody else, whoever changes a quota.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_reshaped bigint[];
  v_resized bigint[];
  v_tenant_ids uuid[];
  v_quota_id bigint;
begin
  select
    array_agg(n.id) filter (where n.is_reshaped),
    array_agg(n.id order by spend_private.lock_rank(n.scope), n.id) filter (where not n.is_reshaped)
  into v_reshaped, v_resized
  from (
    select n.id, n.scope, spend_private.shape_of(n) is distinct from spend_private.shape_of(o) as is_reshaped
    from new_quotas as n
    join old_quotas as o on o.id = n.id
    where spend_private.shape_of(n) is distinct from spend_private.shape_of(o)
      or (n.limit_usd, n.warning_threshold, n.slots, n.enforcement)
        is distinct from (o.limit_usd, o.warning_threshold, o.slots, o.enforcement)
  ) as n;
  if v_reshaped is null and v_resized is null then
    return null;
  end if;

  -- A quota that moves stops the calls of its tenant before, too.
  select array_agg(distinct t.tenant_id) into v_tenant_ids
  from (
    select n.id, n.tenant_id from new_quotas as n
    union all
    select o.id, o.tenant_id from old_quotas as o
  ) as t
  where t.id = any (v_reshaped || v_resized);
  perform spend_private.stop_calls(v_tenant_ids);
  if v_reshaped is not null then
    perform spend_private.recount_quotas(v_reshaped);
  end if;
  foreach v_quota_id in array coalesce(v_resized, '{}') loop
    perform spend_private.resize_quota(v_quota_id);
  end loop;
  return null;
end;
$$;
comment on function spend_private.follow_quota_changes is
  'Trigger: a changed limit, warning threshold, number of slots or enforcement reaches the open balances in the same transaction, while no call runs that was decided by the one before; another shape (whose spend, of what, in which period) counts other calls, so they are counted anew.';

create trigger follow_quota_changes after update on spend.cost_quotas
referencing old table as old_quotas new table as new_quotas
for each statement execute function spend_private.follow_quota_changes();

create function spend_private.shape_of(p_quota spend.cost_quotas)
returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_array(
    p_quota.scope, p_quota.tenant_id, p_quota.scope_id, p_quota.resource_type, p_quota.period, p_quota.task,
    p_quota.product
  );
end;
$$;
comment on function spend_private.shape_of is
  'What a quota counts: whose spend, of what, in which period.';

create function spend_private.follow_new_quotas()
returns trigger
language plpgsql
-- Definer: see follow_quota_changes.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota_ids bigint[];
  v_tenant_ids uuid[];
begin
  select array_agg(n.id), array_agg(distinct n.tenant_id) into v_quota_ids, v_tenant_ids
  from new_quotas as n
  where not spend_private.is_new_subject(n.tenant_id, n.scope_id);
  if v_quota_ids is not null then
    perform spend_private.stop_calls(v_tenant_ids);
    perform spend_private.recount_quotas(v_quota_ids);
  end if;
  return null;
end;
$$;
comment on function spend_private.follow_new_quotas is
  'Trigger: a new quota begins with what was spent and is held in its current period.';

create trigger follow_new_quotas after insert on spend.cost_quotas
referencing new table as new_quotas
for each statement execute function spend_private.follow_new_quotas();

create function spend_private.is_new_subject(p_tenant_id uuid, p_scope_id uuid)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A row that this very transaction made: no other can have a call of it.
  if exists (
    select from spend.tenants as t
    where t.id = p_tenant_id and t.created_at = now() and t.xmin = pg_current_xact_id()::xid
  ) then
    return not exists (select from spend.reservations as r where r.tenant_id = p_tenant_id)
      and not exists (select from spend.cost_events as e where e.tenant_id = p_tenant_id);
  end if;
  return exists (
    select from spend.tenant_members as m
    where m.tenant_id = p_tenant_id and m.user_id = p_scope_id
      and m.created_at = now() and m.xmin = pg_current_xact_id()::xid
  )
  -- Somebody who comes back may have calls from before; they ended, or are seen here: leaving waited for them.
  and not exists (
    select from spend.reservations as r
    where r.tenant_id = p_tenant_id and r.status = 'held' and r.user_id = p_scope_id
  )
  and not exists (
    select from spend.hourly_costs as h
    where h.tenant_id = p_tenant_id and h.user_id = p_scope_id
  );
end;
$$;
comment on function spend_private.is_new_subject is
  'Whether a tenant, or a user as its member, is so new that nothing can have been spent or held yet: then there is nothing to count, and no call to wait for.';

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

  -- No row would be no limit. Of a member who has left, or of a tenant that is gone, there is nothing to limit.
  insert into spend.cost_quotas (
    scope, tenant_id, scope_id, resource_type, period, limit_usd, warning_threshold, estimate_policy, slots, source
  )
  select
    p.scope, o.tenant_id, o.scope_id, p.resource_type, p.period, p.limit_usd, p.warning_threshold, p.estimate_policy,
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
