create function spend_private.follow_quota_changes()
returns trigger
language plpgsql
-- Definer: no role may write balances itself.
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

  -- A quota that moves to another tenant stops the calls of both.
  select array_agg(distinct t.tenant_id) into v_tenant_ids
  from (
    select n.id, n.tenant_id from new_quotas as n
    union all
    select o.id, o.tenant_id from old_quotas as o
  ) as t
  where t.id = any (v_reshaped || v_resized);
  perform spend_private.stop_calls(v_tenant_ids);
  if v_reshaped is not null then
    perform spend_private.recount_quotas(v_reshaped, v_tenant_ids);
  end if;
  foreach v_quota_id in array coalesce(v_resized, '{}') loop
    perform spend_private.resize_quota(v_quota_id);
  end loop;
  return null;
end;
$$;
comment on function spend_private.follow_quota_changes is
  'Trigger: a changed limit, warning threshold, number of slots or enforcement reaches the open balances in the same transaction, while no call runs that the old one admitted; another shape (whose spend, of what, in which period) counts other calls, so its balances are recounted.';

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
