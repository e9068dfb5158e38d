create type spend.claimed_delivery as (
  delivery_id bigint,
  event text,
  idempotency_key text,
  channel text,
  channel_id bigint,
  channel_kind text,
  tenant_id uuid,
  target text,
  secret text,
  attempts integer,
  alert jsonb
);
comment on type spend.claimed_delivery is 'Line of spend.claim_deliveries: what to send, and where.';
comment on column spend.claimed_delivery.delivery_id is 'What spend.finish_delivery takes.';
comment on column spend.claimed_delivery.event is 'trigger: the alert. resolve: what it was about is over.';
comment on column spend.claimed_delivery.idempotency_key is 'The same in every attempt: alert_<alert>_<channel>, with _resolve at the end for the event resolve. A receiver that has seen it ignores it.';
comment on column spend.claimed_delivery.channel is 'Name of the channel.';
comment on column spend.claimed_delivery.channel_id is 'Row of spend.alert_channels; null: a channel that the caller named.';
comment on column spend.claimed_delivery.channel_kind is 'slack, pagerduty, email or webhook.';
comment on column spend.claimed_delivery.tenant_id is 'Tenant whose channel it is; null: the platform''s.';
comment on column spend.claimed_delivery.target is 'URL, routing key or addresses; null for a channel that the caller named.';
comment on column spend.claimed_delivery.secret is 'What signs a webhook; null: none, or a channel that the caller named.';
comment on column spend.claimed_delivery.attempts is 'Attempts, this one included.';
comment on column spend.claimed_delivery.alert is 'The alert: {"id", "kind", "tenant_id", "tenant_name", "caused_by_tenant_id", "quota_id", "period_start", "threshold", "subject", "facts", "created_at", "details", "user_email"}. Money is text.';

create function spend.claim_deliveries(channels jsonb default '[]', max_rows integer default 50)
returns setof spend.claimed_delivery
language plpgsql volatile
-- Definer: no role may write the outbox itself, nor read the channels' secrets.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select d.* from spend_private.claim_deliveries(claim_deliveries.channels, claim_deliveries.max_rows) as d;
end;
$$;
comment on function spend.claim_deliveries is
  'Hands new alerts to the channels that take them, then claims deliveries that are due, the oldest first, max_rows at most. Each goes to one caller, and to the next one only after a delay that doubles with each attempt (30 s to 5 hours, and up to a fifth more): call finish_delivery after delivery or failure. channels: the platform''s channels that are not rows of spend.alert_channels, [{"name", "kind", "kinds", "scopes", "quiet_minutes"}, …]; deliveries to others of them are left alone.
For service_role. Errors: PT422 invalid_channel.';
grant execute on function spend.claim_deliveries to service_role;

create function spend_private.claim_deliveries(
  p_channels jsonb default '[]',
  p_max_rows integer default 50,
  p_now timestamptz default now()
)
returns setof spend.claimed_delivery
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_channels spend.alert_channels[] := spend_private.named_channels(p_channels);
  v_claimed spend.alert_deliveries[];
begin
  perform spend_private.route_alerts(v_channels, p_now => p_now);
  perform spend_private.resolve_incidents(p_now => p_now);

  with of_environment as materialized (
    select d.id, d.next_attempt_at
    from unnest(v_channels) as c
    cross join lateral (
      select o.id, o.next_attempt_at
      from spend.alert_deliveries as o
      where o.channel_id is null and o.channel = c.name and o.delivered_at is null and o.ended_at is null
        and o.next_attempt_at <= p_now
      order by o.next_attempt_at, o.id
      limit greatest(p_max_rows, 0)
      -- Skip those that another deliverer is claiming.
      for no key update skip locked
    ) as d
  ),

  of_rows as materialized (
    select o.id, o.next_attempt_at
    from spend.alert_deliveries as o
    where o.channel_id is not null and o.delivered_at is null and o.ended_at is null and o.next_attempt_at <= p_now
    order by o.next_attempt_at, o.id
    limit greatest(p_max_rows, 0)
    for no key update skip locked
  ),

  due as (
    select u.id, u.next_attempt_at as due_at
    from (select * from of_environment union all select * from of_rows) as u
    order by u.next_attempt_at, u.id
    limit greatest(p_max_rows, 0)
  ),

  claimed as (
    update spend.alert_deliveries as d set
      attempts = d.attempts + 1,
      next_attempt_at = p_now + spend_private.delivery_delay(d.attempts),
      -- Whoever claims it each time dies.
      ended_at = case when d.attempts >= 12 then p_now end,
      is_given_up = d.attempts >= 12,
      last_error = case when d.attempts >= 12 then coalesce(d.last_error, 'no attempt said how it ended') else d.last_error end
    from due as u
    where d.id = u.id
    returning d, u.due_at
  )

  select array_agg(c.d order by c.due_at, (c.d).id) into v_claimed from claimed as c;
  perform spend_private.close_alerts(
    array(select d.alert_id from unnest(v_claimed) as d where d.ended_at is not null), p_now
  );
  return query
    select
      d.id, d.event,
      format('alert_%s_%s', d.alert_id, coalesce(d.channel_id::text, d.channel))
        || case d.event when 'resolve' then '_resolve' else '' end,
      d.channel, d.channel_id, d.channel_kind, c.tenant_id, s.kept ->> 'target', s.kept ->> 'secret', d.attempts,
      spend_private.alert_json(a)
    from unnest(v_claimed) with ordinality as d
    join spend.alerts as a on a.id = d.alert_id
    left join spend.alert_channels as c on c.id = d.channel_id
    left join lateral spend_private.channel_secret(d.channel_id) as s (kept) on true
    where d.ended_at is null
    order by d.ordinality;
end;
$$;
comment on function spend_private.claim_deliveries is
  'spend.claim_deliveries with a clock.';

create function spend_private.delivery_delay(p_attempts integer)
returns interval
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  -- What failed together is not tried together again.
  return least(interval '30 seconds' * 2 ^ least(p_attempts, 20), interval '5 hours') * (1 + random() * 0.2);
end;
$$;
comment on function spend_private.delivery_delay is
  'Time until the next attempt, after p_attempts that failed: 30 s, twice as long after each, 5 hours, and up to a fifth more; never above 6 hours.';

create function spend_private.named_channels(p_channels jsonb)
returns spend.alert_channels[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_channels spend.alert_channels[];
begin
  begin
    v_channels := array(
      select row(
        null, null, c.kind, c.name, nullif(c.kinds, '{}'), nullif(c.scopes, '{}'), coalesce(c.quiet_minutes, 60), true, '', null, null
      )::spend.alert_channels
      from jsonb_populate_recordset(null::spend.alert_channels, p_channels) as c
    );
  exception
    when others then
      v_channels := null;
  end;
  if v_channels is null or exists (
    select from unnest(v_channels) as c
    where c.name is null or c.name = '' or c.kind is null or c.kind not in ('slack', 'pagerduty', 'email', 'webhook')
  ) then
    perform spend_private.fail(
      'PT422', 'invalid_channel', jsonb_build_object('field', 'channels'),
      'channels: [{"name", "kind" (slack, pagerduty, email, webhook), "kinds", "scopes", "quiet_minutes"}, …].'
    );
  end if;
  return v_channels;
end;
$$;
comment on function spend_private.named_channels is
  'The platform''s channels that the caller of claim_deliveries names, as rows without an id. Raises PT422 invalid_channel.';

create function spend_private.alert_json(p_alert spend.alerts)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_details spend.quota_details := p_alert.details;
begin
  return jsonb_build_object(
    'id', p_alert.id, 'kind', p_alert.kind, 'tenant_id', p_alert.tenant_id,
    'tenant_name', (select t.name from spend.tenants as t where t.id = p_alert.tenant_id),
    'caused_by_tenant_id', p_alert.caused_by_tenant_id, 'quota_id', p_alert.quota_id,
    'period_start', nullif(p_alert.period_start, '-infinity'), 'threshold', p_alert.threshold,
    'subject', p_alert.subject, 'facts', p_alert.facts, 'created_at', p_alert.created_at,
    'details', case when p_alert.quota_id is not null then jsonb_build_object(
      'quota_id', v_details.quota_id, 'scope', v_details.scope, 'scope_id', v_details.scope_id,
      'resource_type', v_details.resource_type, 'period', v_details.period,
      'limit_usd', trim_scale(v_details.limit_usd)::text, 'spent_usd', trim_scale(v_details.spent_usd)::text,
      'reserved_usd', trim_scale(v_details.reserved_usd)::text,
      'current_spend_usd', trim_scale(v_details.current_spend_usd)::text,
      'utilization_percent', v_details.utilization_percent, 'period_end', v_details.period_end
    ) || coalesce(
      (
        select jsonb_strip_nulls(jsonb_build_object('task', q.task, 'product', q.product))
        from spend.cost_quotas as q where q.id = p_alert.quota_id
      ), '{}'
    ) end,
    'user_email', case when v_details.scope = 'user' then (
      select u.email::text from auth.users as u where u.id = v_details.scope_id
    ) end
  );
end;
$$;
comment on function spend_private.alert_json is
  'An alert as a receiver is told it. Money is text: no reader rounds it.';
