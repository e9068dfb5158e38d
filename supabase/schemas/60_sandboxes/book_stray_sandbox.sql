create function spend.book_stray_sandbox(
  tenant_id uuid,
  sandbox_id text,
  template text,
  vcpus integer,
  memory_gib numeric,
  started_at timestamptz,
  ended_at timestamptz default null,
  conversation_id text default null,
  path_id text default null,
  context_id uuid default null
)
returns numeric
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.book_stray_sandbox(
    book_stray_sandbox.tenant_id, book_stray_sandbox.sandbox_id, book_stray_sandbox.template,
    book_stray_sandbox.vcpus, book_stray_sandbox.memory_gib, book_stray_sandbox.started_at,
    book_stray_sandbox.ended_at, book_stray_sandbox.conversation_id, book_stray_sandbox.path_id,
    book_stray_sandbox.context_id
  );
end;
$$;
comment on function spend.book_stray_sandbox is
  'Charges a sandbox that ran without a context: the seconds that neither a context nor an earlier call has charged. Call it before the sandbox is killed, and again after: a crash in between loses nothing and charges nothing twice. The first charge records an alert, sandbox_orphaned. Also for closed tenants. Returns the USD that this call charged.
started_at, ended_at: by E2B''s clock; ended_at null: it runs until now. context_id: the context that it was started for, if any: its user pays, and it did not run before its claim. vcpus, memory_gib null: the template''s; the charge is then flagged is_estimated.
Errors: as spend.reserve. For service_role.';
grant execute on function spend.book_stray_sandbox to service_role;

create function spend_private.book_stray_sandbox(
  p_tenant_id uuid,
  p_sandbox_id text,
  p_template text,
  p_vcpus integer,
  p_memory_gib numeric,
  p_started_at timestamptz,
  p_ended_at timestamptz,
  p_conversation_id text,
  p_path_id text,
  p_context_id uuid,
  p_now timestamptz default now()
)
returns numeric
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_from timestamptz;
  v_seconds numeric;
  v_usage jsonb;
  v_held spend.reserve_result;
  v_is_new boolean;
  v_cost_usd numeric;
begin
  if p_sandbox_id is null then
    perform spend_private.fail_usage('sandbox_id', 'is missing');
  elsif not isfinite(p_started_at) or not isfinite(p_ended_at) then
    perform spend_private.fail_usage('started_at, ended_at', 'are not both moments');
  end if;
  perform spend_private.join_calls(spend_private.tenant_key(p_tenant_id));
  perform pg_advisory_xact_lock(hashtextextended('spend.stray ' || p_sandbox_id, 0));
  v_from := greatest(
    spend_private.stray_start(p_tenant_id, p_context_id, p_started_at, p_now),
    spend_private.paid_until(p_tenant_id, p_sandbox_id)
  );
  v_seconds := ceil(spend_private.seconds_between(v_from, least(coalesce(p_ended_at, p_now), p_now)));
  if v_seconds <= 0 then
    return 0;
  end if;

  v_usage := spend_private.stray_usage(p_template, p_vcpus, p_memory_gib, v_seconds);
  v_held := spend_private.reserve(
    p_tenant_id, spend_private.stray_user(p_tenant_id, p_context_id), 'e2b', v_usage, 'sandbox',
    p_conversation_id, p_path_id, p_enforce => false,
    p_metadata => jsonb_build_object('stray_sandbox_id', p_sandbox_id),
    p_closed_too => true, p_now => p_now
  );
  v_is_new := spend_private.stray_paid_until(p_tenant_id, p_sandbox_id) is null;
  insert into spend_private.stray_sandboxes as s (tenant_id, sandbox_id, paid_until)
  values (p_tenant_id, p_sandbox_id, v_from + make_interval(secs => v_seconds::double precision))
  on conflict on constraint stray_sandboxes_pkey do update set paid_until = excluded.paid_until;
  v_cost_usd := (spend_private.settle(
    v_held.reservation_id, v_usage,
    case when p_vcpus is null or p_memory_gib is null or p_started_at is null
      then '{"is_estimated": true}' else '{}' end::jsonb,
    p_now
  )).cost_usd;
  if v_is_new then
    perform spend_private.record_subject_alert(
      'sandbox_orphaned', p_tenant_id, p_sandbox_id, date_trunc('hour', p_now, 'UTC'),
      format('Sandbox %s ran without a context: %s seconds were charged.', p_sandbox_id, v_seconds),
      jsonb_build_object(
        'sandbox_id', p_sandbox_id, 'template', p_template, 'context_id', p_context_id, 'conversation_id', p_conversation_id,
        'seconds', v_seconds, 'cost_usd', trim_scale(v_cost_usd)::text
      ), p_now
    );
  end if;
  return v_cost_usd;
end;
$$;
comment on function spend_private.book_stray_sandbox is
  'spend.book_stray_sandbox with a clock.';

create function spend_private.stray_start(
  p_tenant_id uuid,
  p_context_id uuid,
  p_started_at timestamptz,
  p_now timestamptz
)
returns timestamptz
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_created_at timestamptz := (
    select c.created_at
    from spend.execution_contexts as c
    where c.tenant_id = p_tenant_id and c.id = p_context_id
  );
begin
  if p_started_at > p_now + interval '1 second' or p_started_at < v_created_at - interval '1 second' then
    perform spend_private.record_sandbox_problem(
      'clock', 'E2B reports an impossible start of a sandbox: its clock or ours is wrong.', p_now
    );
  end if;
  return case
    when p_started_at > p_now then coalesce(v_created_at, p_now)
    else coalesce(greatest(p_started_at, v_created_at), p_now)
  end;
end;
$$;
comment on function spend_private.stray_start is
  'Since when a stray sandbox is charged: as E2B reports, but not before the context that it was started for was claimed; from that moment where E2B reports no possible start.';

create function spend_private.stray_user(p_tenant_id uuid, p_context_id uuid)
returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  -- A user who has left no longer pays; the tenant does.
  return (
    select m.user_id
    from spend.execution_contexts as c
    join spend.tenant_members as m on m.tenant_id = c.tenant_id and m.user_id = c.user_id
    where c.tenant_id = p_tenant_id and c.id = p_context_id
  );
end;
$$;
comment on function spend_private.stray_user is
  'Who pays for a stray sandbox: the user of the context that it was started for; null for the tenant itself.';

create function spend_private.stray_usage(
  p_template text,
  p_vcpus integer,
  p_memory_gib numeric,
  p_seconds numeric
)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The largest template is the bound of an unknown size.
  return (
    select jsonb_build_object(
      'provider', 'e2b', 'template', p_template,
      'vcpus', coalesce(p_vcpus, max(t.vcpus) filter (where t.template = p_template), max(t.vcpus), 2),
      'memory_gib', coalesce(
        p_memory_gib, max(t.memory_gib) filter (where t.template = p_template), max(t.memory_gib), 0.5
      ),
      'seconds', p_seconds
    )
    from spend.sandbox_templates as t
  );
end;
$$;
comment on function spend_private.stray_usage is
  'Usage of a stray sandbox for reserve and settle. vCPUs and GiB that E2B did not report are its template''s.';

create function spend_private.paid_until(p_tenant_id uuid, p_sandbox_id text)
returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return greatest(
    (
      select max(coalesce(c.ended_at, c.paused_at))
      from spend.execution_contexts as c
      where c.tenant_id = p_tenant_id and c.sandbox_id = p_sandbox_id and c.booked_at is not null
    ),
    spend_private.stray_paid_until(p_tenant_id, p_sandbox_id)
  );
end;
$$;
comment on function spend_private.paid_until is
  'Until when a sandbox''s seconds are charged, by its context or as a stray; null when none are.';

create function spend_private.stray_paid_until(p_tenant_id uuid, p_sandbox_id text)
returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return (
    select s.paid_until
    from spend_private.stray_sandboxes as s
    where s.tenant_id = p_tenant_id and s.sandbox_id = p_sandbox_id
  );
end;
$$;
comment on function spend_private.stray_paid_until is
  'Until when a sandbox''s seconds are charged as a stray; null when it was none before.';
