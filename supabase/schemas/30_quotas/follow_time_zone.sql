create function spend_private.date_time_zone()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.time_zone_since := case when new.time_zone is distinct from old.time_zone then now() else old.time_zone_since end;
  return new;
end;
$$;
comment on function spend_private.date_time_zone is
  'Trigger: keeps tenants.time_zone_since.';

create trigger date_time_zone before update of time_zone, time_zone_since on spend.tenants
for each row execute function spend_private.date_time_zone();

create function spend_private.follow_time_zone()
returns trigger
language plpgsql
-- Definer: see follow_quota_changes.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Roll-ups first: the sums below need their hours, and the tenant's calls go on meanwhile.
  perform spend_private.follow_time_zone_in_rollups(new);
  perform spend_private.stop_calls(array[new.id]);
  perform spend_private.recount_quotas(
    array(select q.id from spend.cost_quotas as q where q.tenant_id = new.id), array[new.id]
  );
  return null;
end;
$$;
comment on function spend_private.follow_time_zone is
  'Trigger: in another time zone periods have other bounds; the balances of the tenant''s current ones are recounted.';

create trigger follow_time_zone after update of time_zone on spend.tenants
for each row when (old.time_zone is distinct from new.time_zone)
execute function spend_private.follow_time_zone();
