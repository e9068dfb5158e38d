create function spend_private.follow_changed_plans()
returns trigger
language plpgsql
-- Definer: see seed_quotas_of_tenant.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_plan record;
begin
  for v_plan in
    update spend.plans as p set version = p.version + 1
    where p.id in (select c.plan_id from changed as c)
    returning p.id, p.version
  loop
    -- Up to 100 tenants follow at once. More would block their calls for too long.
    if (select count(*) from (select from spend.tenants as t where t.plan_id = v_plan.id limit 101) as few) <= 100 then
      perform spend_private.follow_plans(100, v_plan.id);
    else
      raise notice 'The tenants of plan "%" follow in batches, as spend.maintain() runs; spend.plan_progress shows how many do.', v_plan.id;
    end if;
  end loop;
  return null;
end;
$$;
comment on function spend_private.follow_changed_plans is
  'Trigger: a change of a plan''s quotas reaches its tenants: at once up to 100 of them, more in batches.';

create trigger seed_quotas_after_insert after insert on spend.plan_quotas
referencing new table as changed
for each statement execute function spend_private.follow_changed_plans();
create trigger seed_quotas_after_update after update on spend.plan_quotas
referencing new table as changed
for each statement execute function spend_private.follow_changed_plans();
create trigger seed_quotas_after_delete after delete on spend.plan_quotas
referencing old table as changed
for each statement execute function spend_private.follow_changed_plans();

create function spend_private.follow_plans(
  p_max_tenants integer,
  p_plan_id text default null,
  p_waits boolean default true
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_tenant_id uuid;
  v_member record;
  v_done bigint := 0;
begin
  if p_waits then
    perform spend_private.lock_quota_changes();
  elsif not spend_private.try_lock_quota_changes() then
    return null;
  end if;
  for v_tenant_id in
    select t.id
    from spend.plans as p
    cross join lateral (
      -- Skip a tenant that somebody is changing: it follows in a later batch.
      select o.id
      from spend.tenants as o
      where o.plan_id = p.id and o.plan_version < p.version
        and not spend_private.is_put_off('follow_plans', o.id::text)
      order by o.plan_version
      limit p_max_tenants
      for no key update skip locked
    ) as t
    where p_plan_id is null or p.id = p_plan_id
    limit p_max_tenants
  loop
    continue when not p_waits and not spend_private.try_stop_calls(v_tenant_id);
    perform spend_private.follow_plan_or_record(v_tenant_id);
    v_done := v_done + 1;
  end loop;

  for v_member in
    select m.tenant_id, m.user_id
    from spend.tenant_members as m
    where not m.is_seeded and not spend_private.is_put_off('follow_plans', m.tenant_id::text)
    limit p_max_tenants - v_done
  loop
    continue when not p_waits and not spend_private.try_stop_calls(v_member.tenant_id);
    perform spend_private.follow_plan_or_record(v_member.tenant_id, v_member.user_id);
    v_done := v_done + 1;
  end loop;
  return v_done;
end;
$$;
comment on function spend_private.follow_plans is
  'Brings up to p_max_tenants tenants, of one plan or of all, in line with a plan that has changed, and members that no trigger saw; returns how many. Calls of these tenants wait until the transaction ends. p_waits false: returns null at once while somebody changes quotas, and leaves tenants with calls under way to the next run; for a transaction that has locked roll-ups or alerts, for which a change or a call may be waiting.';

create function spend_private.follow_plan_or_record(p_tenant_id uuid, p_user_id uuid default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.follow_plan(p_tenant_id, p_user_id);
  perform spend_private.resolve_problem('follow_plans', p_tenant_id::text);
exception
  when others then
    perform spend_private.record_problem(
      'follow_plans', p_tenant_id::text, sqlerrm, jsonb_build_object('sqlstate', sqlstate, 'tenant_id', p_tenant_id)
    );
end;
$$;
comment on function spend_private.follow_plan_or_record is
  'follow_plan in a batch: an error goes to spend.problems, and the batch goes on.';
