create function spend_private.rebuild_rollups(p_tenant_id uuid)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state spend_private.ledger_state;
begin
  select * into v_state from spend_private.ledger_state as s for no key update;
  delete from spend_private.cost_rollups as r
  where r.tenant_id = p_tenant_id and r.hour >= v_state.kept_from;
  delete from spend_private.conversation_rollups as r
  where r.tenant_id = p_tenant_id and r.hour >= v_state.kept_from;
  -- What roll_up left out is counted with the rest.
  update spend.problems as p set resolved_at = now()
  where p.job = 'roll_up' and p.resolved_at is null and p.details ->> 'tenant_id' = p_tenant_id::text;
  return spend_private.count_events(
    '0', v_state.rolled_up_before, p_tenant_id, v_state.kept_from
  );
end;
$$;
comment on function spend_private.rebuild_rollups is
  'Rolls up a tenant''s events anew, from the ledger; returns how many. What retention dropped stays as it is.';

create function spend_private.follow_time_zone_in_rollups(p_tenant spend.tenants)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Nobody rolls up meanwhile: it would cut the hours as they were cut before.
  perform from spend_private.ledger_state as s for no key update;
  -- Between zones that are whole hours apart no hour changes.
  if exists (
    select from spend_private.cost_rollups as r
    where r.tenant_id = p_tenant.id
      and date_trunc('hour', r.hour, p_tenant.time_zone) <> r.hour
  ) then
    perform spend_private.rebuild_rollups(p_tenant.id);
  end if;
end;
$$;
comment on function spend_private.follow_time_zone_in_rollups is
  'Where the hours of a tenant''s new time zone are cut elsewhere, its events are rolled up anew, so that its days stay exact.';
