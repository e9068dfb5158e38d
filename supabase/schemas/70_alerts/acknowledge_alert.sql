create function spend.acknowledge_alert(alert_id bigint)
returns spend.alerts
language plpgsql volatile
-- Definer: no role may write alerts itself.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_alert spend.alerts;
begin
  select * into v_alert from spend.alerts as a where a.id = acknowledge_alert.alert_id;
  if v_alert.id is null
    or not spend_private.may_operate('editor')
      and (spend_private.is_for_operators(v_alert.kind) or not spend_private.may_manage_alerts(v_alert.tenant_id))
  then
    if spend_private.operator_role() is not null then
      perform spend_private.demand_operator('editor');
    end if;
    perform spend_private.fail(
      'PT404', 'unknown_alert', jsonb_build_object('alert_id', acknowledge_alert.alert_id),
      'alert_id: the id of a row of spend.alerts that you may read, as an owner or admin of its tenant.'
    );
  end if;
  update spend.alerts as a set
    acknowledged_at = coalesce(a.acknowledged_at, now()),
    acknowledged_by = case when a.acknowledged_at is null then auth.uid() else a.acknowledged_by end
  where a.id = v_alert.id
  returning a.* into v_alert;
  perform spend_private.end_deliveries(
    array(
      select d.id from spend.alert_deliveries as d
      where d.alert_id = v_alert.id and d.event = 'trigger' and d.delivered_at is null and d.ended_at is null
    ),
    'acknowledged'
  );
  return v_alert;
end;
$$;
comment on function spend.acknowledge_alert is
  'Says that an alert was seen, by whom and when, once: the first one stays. What was not sent yet is not sent. Answers the row.
For owners and admins of its tenant, operators of the role editor, and service_role; alerts about the operation for the latter two. Errors: PT403 not_an_operator, PT404 unknown_alert.';
grant execute on function spend.acknowledge_alert to authenticated, service_role;
