create function spend.delete_alert_channel(channel_id bigint)
returns boolean
language plpgsql volatile
-- Definer: see save_alert_channel.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_channel spend.alert_channels;
begin
  select * into v_channel from spend.alert_channels as c where c.id = delete_alert_channel.channel_id;
  -- Whose channel it is, only those learn who may see it.
  if v_channel.id is null or not spend_private.may_manage_alerts(v_channel.tenant_id) then
    if spend_private.operator_role() is not null then
      perform spend_private.demand_operator('editor');
    end if;
    return false;
  end if;
  delete from spend.alert_channels as c where c.id = v_channel.id;
  return found;
end;
$$;
comment on function spend.delete_alert_channel is
  'Deletes a channel with its target and secret, and what was to be sent to it. False when the caller manages no channel of this id.
For owners and admins of its tenant, operators of the role editor, and service_role. Errors: PT403 not_an_operator (an operator of the role viewer).';
grant execute on function spend.delete_alert_channel to authenticated, service_role;
