create function spend_private.may_manage_alerts(p_tenant_id uuid)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.may_operate('editor')
    or coalesce(p_tenant_id = any (array(select spend_private.managed_tenant_ids())), false);
end;
$$;
comment on function spend_private.may_manage_alerts is
  'Whether the caller may change channels and mutes of a tenant (null: of the platform): its owners and admins, operators of the role editor, and roles that no policy confines.';

create function spend_private.demand_alert_manager(p_tenant_id uuid)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if spend_private.may_manage_alerts(p_tenant_id) then
    return;
  end if;
  if p_tenant_id is null or spend_private.operator_role() is not null then
    perform spend_private.demand_operator('editor');
  end if;
  perform spend_private.fail(
    'PT403', 'not_an_admin', jsonb_build_object('tenant_id', p_tenant_id),
    'Only owners and admins of the tenant, and operators of the role editor, may do this.'
  );
end;
$$;
comment on function spend_private.demand_alert_manager is
  'Raises PT403 not_an_admin, or not_an_operator for what is the platform''s, unless may_manage_alerts.';
