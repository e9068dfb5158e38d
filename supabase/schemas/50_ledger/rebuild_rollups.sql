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
  'Rebuilds a tenant''s roll-ups from the ledger; returns how many events. Roll-ups of dropped months stay.';

create function spend_private.follow_time_zone_in_rollups(p_tenant spend.tenants)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Nobody may roll up meanwhile: it would use the hours of the old time zone.
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
  'Rebuilds a tenant''s roll-ups where the hours of its new time zone begin at other minutes, so that its days stay exact.';
