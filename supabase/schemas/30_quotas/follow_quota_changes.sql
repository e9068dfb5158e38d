create function spend_private.follow_quota_changes()
returns trigger
language plpgsql
-- Definer: balances are written by nobody else, whoever changes a quota.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota_id bigint;
begin
  -- Another shape (whose spend, of what, in which period) counts other events: count them anew.
  for v_quota_id in
    select n.id
    from new_quotas as n
    join old_quotas as o on o.id = n.id
    where (n.scope, n.tenant_id, n.scope_id, n.resource_type, n.period, n.task, n.product)
      is distinct from (o.scope, o.tenant_id, o.scope_id, o.resource_type, o.period, o.task, o.product)
    order by n.id
  loop
    perform spend_private.rebase_quota(v_quota_id);
  end loop;

  for v_quota_id in
    select n.id
    from new_quotas as n
    join old_quotas as o on o.id = n.id
    where (n.limit_usd, n.warning_threshold, n.slots)
      is distinct from (o.limit_usd, o.warning_threshold, o.slots)
    -- The lock order of reserve.
    order by spend_private.lock_rank(n.scope), n.id
  loop
    perform spend_private.resize_quota(v_quota_id);
  end loop;
  return null;
end;
$$;
comment on function spend_private.follow_quota_changes is
  'Trigger: a changed limit, warning threshold, number of slots, period or subject reaches the open balances in the same transaction.';

create trigger follow_quota_changes after update on spend.cost_quotas
referencing old table as old_quotas new table as new_quotas
for each statement execute function spend_private.follow_quota_changes();

create function spend_private.follow_new_quotas()
returns trigger
language plpgsql
-- Definer: see follow_quota_changes.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota_id bigint;
begin
  for v_quota_id in
    select n.id
    from new_quotas as n
    -- Seeding a subject that never spent has nothing to count.
    where current_setting('spend.seeding', true) is distinct from 'on'
      or spend_private.has_spent(n.tenant_id, case n.scope when 'user' then n.scope_id end)
    order by n.id
  loop
    perform spend_private.rebase_quota(v_quota_id);
  end loop;
  return null;
end;
$$;
comment on function spend_private.follow_new_quotas is
  'Trigger: a new quota begins with what was spent and is held in its current period.';

create trigger follow_new_quotas after insert on spend.cost_quotas
referencing new table as new_quotas
for each statement execute function spend_private.follow_new_quotas();

create function spend_private.follow_time_zone()
returns trigger
language plpgsql
-- Definer: see follow_quota_changes.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.lock_quota_changes();
  perform spend_private.rebase_quota(q.id)
  from spend.cost_quotas as q
  where q.tenant_id = new.id
  order by q.id;
  return null;
end;
$$;
comment on function spend_private.follow_time_zone is
  'Trigger: in another time zone other moments bound the periods; the tenant''s current ones are counted anew.';

create trigger follow_time_zone after update of time_zone on spend.tenants
for each row when (old.time_zone is distinct from new.time_zone)
execute function spend_private.follow_time_zone();

create function spend_private.has_spent(p_tenant_id uuid, p_user_id uuid)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from spend.reservations as r
    where r.tenant_id = p_tenant_id and (p_user_id is null or r.user_id = p_user_id)
  ) or exists (
    select from spend.cost_events as e
    where e.tenant_id = p_tenant_id and (p_user_id is null or e.user_id = p_user_id)
  );
end;
$$;
comment on function spend_private.has_spent is
  'Whether a tenant, or a user of it, has any reservation or event.';
