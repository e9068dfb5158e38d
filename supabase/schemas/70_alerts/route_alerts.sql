create function spend_private.route_alerts(
  p_channels spend.alert_channels[],
  p_max_rows integer default 200,
  p_now timestamptz default now()
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_alert spend.alerts;
  v_about text;
  v_ids bigint[] := '{}';
begin
  -- One at a time: two at once would not see that the other has just told a channel the same. The others only claim.
  if not pg_try_advisory_xact_lock(hashtextextended('spend.route_alerts', 0)) then
    return 0;
  end if;
  for v_alert in
    select a.*
    from spend.alerts as a
    where a.routed_at is null
    order by a.id
    limit p_max_rows
    for no key update skip locked
  loop
    v_ids := v_ids || v_alert.id;
    continue when v_alert.acknowledged_at is not null;
    v_about := spend_private.about_alert(v_alert);
    insert into spend.alert_deliveries (
      alert_id, channel, channel_id, channel_kind, event, about, created_at, next_attempt_at
    )
    select v_alert.id, c.name, c.id, c.kind, 'trigger', v_about, p_now, p_now
    from (
      select n.* from unnest(p_channels) as n
      union all
      select o.* from spend.alert_channels as o where o.tenant_id is null
      union all
      -- Never another tenant's, nor what is for operators.
      select o.* from spend.alert_channels as o
      where o.tenant_id = v_alert.tenant_id and not spend_private.is_for_operators(v_alert.kind)
    ) as c
    where c.is_enabled
      and (c.kinds is null or v_alert.kind = any (c.kinds))
      and (c.scopes is null or spend_private.scope_of_alert(v_alert) = any (c.scopes))
      and not spend_private.is_muted(v_alert, c.tenant_id)
      and not spend_private.is_quiet(v_about, c, p_now)
    on conflict on constraint one_delivery_per_channel do nothing;
  end loop;
  update spend.alerts as a set routed_at = p_now where a.id = any (v_ids);
  return cardinality(v_ids);
end;
$$;
comment on function spend_private.route_alerts is
  'Hands alerts that no channel has seen, the oldest p_max_rows, to each channel that takes them: enabled, of that kind and scope, not muted, not quiet. p_channels: the platform''s that are not rows. Returns how many. An alert that no channel takes is handed over too, to none.';

create function spend_private.scope_of_alert(p_alert spend.alerts)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when p_alert.quota_id is not null then (p_alert.details).scope
    when spend_private.is_for_operators(p_alert.kind) then 'operator'
    else 'tenant'
  end;
end;
$$;
comment on function spend_private.scope_of_alert is
  'What alert_channels.scopes compares: the scope of the quota; without one operator for what is about the operation, else tenant.';

create function spend_private.about_alert(p_alert spend.alerts)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when p_alert.quota_id is not null then format('%s/%s/%s', p_alert.kind, p_alert.quota_id, p_alert.threshold)
    else format('%s/%s/%s', p_alert.kind, p_alert.tenant_id, p_alert.subject)
  end;
end;
$$;
comment on function spend_private.about_alert is
  'What an alert is about, for quiet_minutes (spend.alert_deliveries.about).';

create function spend_private.is_muted(p_alert spend.alerts, p_tenant_id uuid)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return exists (
    select from spend.alert_mutes as m
    where (m.tenant_id = p_tenant_id or (m.tenant_id is null and p_tenant_id is null))
      -- When it came, not when somebody looks at it.
      and m.until > p_alert.created_at
      and (m.kind is null or m.kind = p_alert.kind)
      and (m.quota_id is null or m.quota_id = p_alert.quota_id)
  );
end;
$$;
comment on function spend_private.is_muted is
  'Whether the channels of a tenant (null: of the platform) are silent for an alert.';

create function spend_private.is_quiet(p_about text, p_channel spend.alert_channels, p_now timestamptz)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_last spend.alert_deliveries;
begin
  if p_channel.quiet_minutes = 0 then
    return false;
  end if;
  select d.* into v_last
  from spend.alert_deliveries as d
  where d.about = p_about and d.event = 'trigger' and d.channel = p_channel.name
    and (d.channel_id = p_channel.id or (d.channel_id is null and p_channel.id is null))
    and d.ended_at is null
  order by d.created_at desc
  limit 1;
  if v_last.id is null then
    return false;
  end if;
  return coalesce(v_last.delivered_at, v_last.created_at) > p_now - make_interval(mins => p_channel.quiet_minutes)
    -- Resolved: an incident that opens again is news.
    and not exists (
      select from spend.alert_deliveries as d
      where d.alert_id = v_last.alert_id and d.channel = v_last.channel and d.event = 'resolve'
        and (d.channel_id = v_last.channel_id or (d.channel_id is null and v_last.channel_id is null))
    );
end;
$$;
comment on function spend_private.is_quiet is
  'Whether a channel was told the same (about_alert) within its quiet_minutes.';
