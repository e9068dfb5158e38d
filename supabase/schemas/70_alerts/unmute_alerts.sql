create function spend.unmute_alerts(mute_id bigint)
returns boolean
language plpgsql volatile
-- Definer: see mute_alerts.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_mute spend.alert_mutes;
begin
  select * into v_mute from spend.alert_mutes as m where m.id = unmute_alerts.mute_id;
  if v_mute.id is null or not spend_private.may_manage_alerts(v_mute.tenant_id) then
    if spend_private.operator_role() is not null then
      perform spend_private.demand_operator('editor');
    end if;
    return false;
  end if;
  delete from spend.alert_mutes as m where m.id = v_mute.id;
  return found;
end;
$$;
comment on function spend.unmute_alerts is
  'Ends a mute. False when the caller manages none of this id.
For owners and admins of its tenant, operators of the role editor, and service_role. Errors: PT403 not_an_operator (an operator of the role viewer).';
grant execute on function spend.unmute_alerts to authenticated, service_role;
