create function spend.save_alert_channel(
  tenant_id uuid,
  kind text,
  name text,
  target text default null,
  secret text default null,
  kinds text[] default null,
  scopes text[] default null,
  quiet_minutes integer default null,
  is_enabled boolean default null
)
returns spend.alert_channels
language plpgsql volatile
-- Definer: no role may write channels itself, nor read their secrets.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_channel spend.alert_channels;
  v_old spend.alert_channels;
  v_kept jsonb;
begin
  perform spend_private.demand_alert_manager(save_alert_channel.tenant_id);
  if save_alert_channel.tenant_id is not null
    and not exists (select from spend.tenants as t where t.id = save_alert_channel.tenant_id)
  then
    perform spend_private.fail(
      'PT404', 'unknown_tenant', jsonb_build_object('tenant_id', save_alert_channel.tenant_id),
      'Pass the id of a row of spend.tenants.'
    );
  end if;
  -- One at a time for each tenant: the count below is right, and the second of two finds the first one's row.
  perform pg_advisory_xact_lock(hashtextextended('spend.alert_channels ' || coalesce(save_alert_channel.tenant_id::text, ''), 0));
  select * into v_old
  from spend.alert_channels as c
  where c.name = save_alert_channel.name
    and (c.tenant_id = save_alert_channel.tenant_id or (c.tenant_id is null and save_alert_channel.tenant_id is null));

  v_kept := case when v_old.kind = save_alert_channel.kind then spend_private.channel_secret(v_old.id) end;
  v_kept := jsonb_build_object(
    'target', coalesce(save_alert_channel.target, v_kept ->> 'target'),
    'secret', nullif(coalesce(save_alert_channel.secret, v_kept ->> 'secret'), '')
  );
  v_channel.tenant_id := save_alert_channel.tenant_id;
  v_channel.kind := save_alert_channel.kind;
  v_channel.name := save_alert_channel.name;
  v_channel.kinds := nullif(coalesce(save_alert_channel.kinds, v_old.kinds), '{}');
  v_channel.scopes := nullif(coalesce(save_alert_channel.scopes, v_old.scopes), '{}');
  v_channel.quiet_minutes := coalesce(save_alert_channel.quiet_minutes, v_old.quiet_minutes, 60);
  v_channel.is_enabled := coalesce(save_alert_channel.is_enabled, v_old.is_enabled, true);
  v_channel.target_hint := spend_private.target_hint(v_channel.kind, v_kept ->> 'target');
  perform spend_private.check_channel(v_channel, v_kept, v_old.id is null);

  if v_old.id is null then
    insert into spend.alert_channels (
      tenant_id, kind, name, kinds, scopes, quiet_minutes, is_enabled, target_hint, created_by
    )
    values (
      v_channel.tenant_id, v_channel.kind, v_channel.name, v_channel.kinds, v_channel.scopes, v_channel.quiet_minutes,
      v_channel.is_enabled, v_channel.target_hint, auth.uid()
    )
    returning * into v_channel;
  else
    update spend.alert_channels as c set
      kind = v_channel.kind, kinds = v_channel.kinds, scopes = v_channel.scopes,
      quiet_minutes = v_channel.quiet_minutes, is_enabled = v_channel.is_enabled, target_hint = v_channel.target_hint
    where c.id = v_old.id
    returning c.* into v_channel;
  end if;
  perform spend_private.keep_channel_secret(v_channel.id, v_kept ->> 'target', v_kept ->> 'secret');
  if not v_channel.is_enabled then
    perform spend_private.end_deliveries(
      array(
        select d.id from spend.alert_deliveries as d
        where d.channel_id = v_channel.id and d.delivered_at is null and d.ended_at is null
      ),
      'the channel was disabled'
    );
  end if;
  return v_channel;
end;
$$;
comment on function spend.save_alert_channel is
  'Adds a channel for alerts, or changes the one of this tenant and name; null leaves a value as it is, an empty list of kinds or scopes takes all. tenant_id null: the platform''s. kind: slack, pagerduty, email, webhook. target: the URL that alerts are posted to (slack, webhook), the routing key (pagerduty), or addresses (email). secret: signs what a webhook gets (Standard Webhooks: text, or whsec_… in base64); an empty text removes it. Neither can be read again. A tenant''s URL must not lead into the network, unless spend.settings.allow_private_alert_targets.
For owners and admins of the tenant, operators of the role editor (also for the platform''s), and service_role. Errors: PT403 not_an_admin, not_an_operator, PT404 unknown_tenant, PT422 invalid_channel (field, allowed).';
grant execute on function spend.save_alert_channel to authenticated, service_role;

create function spend_private.check_channel(p_channel spend.alert_channels, p_secrets jsonb, p_is_new boolean)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_field text;
  v_allowed text;
begin
  select w.field, w.allowed into v_field, v_allowed
  from (
    select
      'kind', 'slack, pagerduty, email or webhook',
      p_channel.kind is null or p_channel.kind not in ('slack', 'pagerduty', 'email', 'webhook')
    union all
    select
      'name', '1 to 100 characters, no control characters',
      coalesce(length(btrim(p_channel.name)), 0) = 0 or length(p_channel.name) > 100 or p_channel.name ~ '[[:cntrl:]]'
    union all
    select 'kinds', 'kinds of spend.alerts, or an empty list for all', not p_channel.kinds <@ spend_private.alert_kinds()
    union all
    select
      'scopes', 'platform, tenant, user and operator, or an empty list for all',
      not p_channel.scopes <@ array['platform', 'tenant', 'user', 'operator']
    union all
    select 'quiet_minutes', '0 to 10080', p_channel.quiet_minutes not between 0 and 10080
    union all
    select
      'secret', 'for webhook: 16 to 200 characters, or whsec_ and base64; none for the other kinds',
      case
        when p_channel.kind <> 'webhook' then true
        when (p_secrets ->> 'secret') like 'whsec\_%' then (p_secrets ->> 'secret') !~ '^whsec_([A-Za-z0-9+/]{4}){4,64}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
        else (p_secrets ->> 'secret') !~ '^[!-~]{16,200}$'
      end and p_secrets ->> 'secret' is not null
    union all
    select
      'tenant_id', 'a tenant with fewer than 20 channels: delete one first',
      p_is_new and p_channel.tenant_id is not null
        and (select count(*) from spend.alert_channels as c where c.tenant_id = p_channel.tenant_id) >= 20
  ) as w (field, allowed, is_wrong)
  where w.is_wrong
  limit 1;
  if v_field is null then
    v_allowed := case
      when p_secrets ->> 'target' is null then 'a target: a channel that is new, or of another kind now, needs one'
      else spend_private.target_problem(
        p_channel.kind, p_secrets ->> 'target',
        p_channel.tenant_id is null or (select s.allow_private_alert_targets from spend.settings as s)
      )
    end;
    v_field := case when v_allowed is not null then 'target' end;
  end if;
  if v_field is not null then
    -- Without the value: it may be a secret.
    perform spend_private.fail(
      'PT422', 'invalid_channel', jsonb_build_object('field', v_field, 'allowed', v_allowed),
      format('%s: %s.', v_field, v_allowed)
    );
  end if;
end;
$$;
comment on function spend_private.check_channel is
  'Raises PT422 invalid_channel with the first field that is wrong, and what it may be.';

create function spend_private.alert_kinds()
returns text[]
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select array[
    'quota_warning', 'quota_exceeded', 'forecast_exceeded', 'unusual_spend', 'reservations_expired',
    'settle_failed', 'sandbox_orphaned', 'price_missing', 'verification_failed', 'job_failed'
  ]
$$;
comment on function spend_private.alert_kinds is
  'Kinds of spend.alerts.';
