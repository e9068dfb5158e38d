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
    perform spend_private.recount_quotas(v_quota_ids, v_tenant_ids);
  end if;
  return null;
end;
$$;
comment on function spend_private.follow_new_quotas is
  'Trigger: a new quota begins with what was spent and is held in its current period.';

create trigger follow_new_quotas after insert on spend.cost_quotas
referencing new table as new_quotas
for each statement execute function spend_private.follow_new_quotas();

create function spend_private.has_spent(p_tenant_id uuid, p_user_id uuid)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Leaving waited for his calls: they have ended, or are seen here. One that was released may be charged at any time,
  -- also right now.
  return exists (
    select from spend.reservations as r
    where r.tenant_id = p_tenant_id and r.status = 'held' and r.user_id = p_user_id
  )
  or exists (
    select from spend.reservations as r
    where r.tenant_id = p_tenant_id and r.user_id = p_user_id and r.status = 'released'
  )
  or exists (
    select from spend.hourly_costs as h
    where h.tenant_id = p_tenant_id and h.user_id = p_user_id
  );
end;
$$;
comment on function spend_private.has_spent is
  'Whether somebody who is not a member yet, or is one again, has calls of a tenant that count, or may.';

create function spend_private.is_new_subject(p_tenant_id uuid, p_scope_id uuid)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- This transaction inserted the tenant: no other one can have a call of it.
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
  and not spend_private.has_spent(p_tenant_id, p_scope_id);
end;
$$;
comment on function spend_private.is_new_subject is
  'Whether a tenant, or a user as its member, is so new that nothing can be spent or held yet: there is nothing to count, and no call to wait for.';
