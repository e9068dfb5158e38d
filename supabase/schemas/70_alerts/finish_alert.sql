create function spend.finish_alert(alert_id bigint, error text default null)
returns boolean
language plpgsql volatile
-- Definer: see spend.claim_alerts.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update spend.alerts as a set
    delivered_at = case when finish_alert.error is null then now() end,
    last_error = finish_alert.error
  where a.id = finish_alert.alert_id and a.delivered_at is null;
  return found;
end;
$$;
comment on function spend.finish_alert is
  'Records that an alert was delivered, or why not: with an error it stays in the outbox. False when it was delivered already or does not exist. For service_role.';
grant execute on function spend.finish_alert to service_role;
