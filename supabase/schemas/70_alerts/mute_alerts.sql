create function spend.mute_alerts(
  until timestamptz,
  tenant_id uuid default null,
  kind text default null,
  quota_id bigint default null
)
returns spend.alert_mutes
language plpgsql volatile
-- Definer: no role may write mutes itself.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_mute spend.alert_mutes;
  v_wrong text;
begin
  perform spend_private.demand_alert_manager(mute_alerts.tenant_id);
  v_wrong := case
    when (mute_alerts.until > now() and mute_alerts.until <= now() + interval '1 year') is not true
      then 'until: a moment within the next year'
    when mute_alerts.kind <> all (spend_private.alert_kinds()) then 'kind: a kind of spend.alerts, or null for all'
    when mute_alerts.quota_id is not null and not exists (
      select from spend.cost_quotas as q
      where q.id = mute_alerts.quota_id and (mute_alerts.tenant_id is null or q.tenant_id = mute_alerts.tenant_id)
    ) then 'quota_id: a quota of the tenant, or null for all'
    when mute_alerts.tenant_id is not null and not exists (
      select from spend.tenants as t where t.id = mute_alerts.tenant_id
    ) then 'tenant_id: the id of a row of spend.tenants, or null for the platform''s channels'
    when mute_alerts.tenant_id is not null and (
      select count(*) from spend.alert_mutes as m where m.tenant_id = mute_alerts.tenant_id and m.until > now()
    ) >= 100 then 'tenant_id: a tenant with fewer than 100 mutes: end one first'
  end;
  if v_wrong is not null then
    perform spend_private.fail(
      'PT422', 'invalid_mute', jsonb_build_object('field', split_part(v_wrong, ':', 1)), v_wrong || '.'
    );
  end if;
  insert into spend.alert_mutes (tenant_id, kind, quota_id, until, created_by)
  values (mute_alerts.tenant_id, mute_alerts.kind, mute_alerts.quota_id, mute_alerts.until, auth.uid())
  returning * into v_mute;
  return v_mute;
end;
$$;
comment on function spend.mute_alerts is
  'Silences channels until a moment, within a year: alerts that come before are recorded, and not sent. tenant_id: that tenant''s channels; null: the platform''s. kind, quota_id: only such alerts; null: all.
For owners and admins of the tenant, operators of the role editor (also for the platform''s), and service_role. Errors: PT403 not_an_admin, not_an_operator, PT422 invalid_mute (field).';
grant execute on function spend.mute_alerts to authenticated, service_role;
