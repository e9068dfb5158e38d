create function spend.confirm_context(
  tenant_id uuid,
  context_id uuid,
  claim_id uuid,
  sandbox_id text,
  started_at timestamptz,
  expires_at timestamptz,
  vcpus integer,
  memory_gib numeric,
  revision integer default null,
  enforce boolean default true
)
returns spend.context_claim
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.confirm_context(
    confirm_context.tenant_id, confirm_context.context_id, confirm_context.claim_id,
    confirm_context.sandbox_id, confirm_context.started_at, confirm_context.expires_at,
    confirm_context.vcpus, confirm_context.memory_gib, confirm_context.revision, confirm_context.enforce
  );
end;
$$;
comment on function spend.confirm_context is
  'Records what E2B reports of a sandbox that was started, resumed or extended. started_at, expires_at: by E2B''s clock; null or impossible: the requested times count. If the reported size costs more than is held, extends the hold.
revision: of the claim''s answer; a report from before a later change does not move the end back.
outcome: ready (is_extended: E2B would end it before an admitted run ends: connect again with set_timeout_seconds, and confirm), again (see context_claim), refused (the sandbox is larger than its template, and a quota has no room for that: end it), wait (it no longer runs, or another caller is resuming it), gone (no context has this sandbox: kill it and call end_context).
Errors: PT404 unknown_context, 22023 invalid_usage (sandbox_id, a time, vcpus, memory_gib). For service_role.';
grant execute on function spend.confirm_context to service_role;

create function spend_private.confirm_context(
  p_tenant_id uuid,
  p_context_id uuid,
  p_claim_id uuid,
  p_sandbox_id text,
  p_started_at timestamptz,
  p_expires_at timestamptz,
  p_vcpus integer,
  p_memory_gib numeric,
  p_revision integer default null,
  p_enforce boolean default true,
  p_now timestamptz default now()
)
returns spend.context_claim
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_context spend.execution_contexts := spend_private.lock_context(p_tenant_id, p_context_id);
  -- Refuse at once what could not be booked at the end.
  v_wrong text[] := case
    when p_sandbox_id is null then array['sandbox_id', 'is missing']
    when not isfinite(p_expires_at) then array['expires_at', 'is not a moment']
    when not isfinite(p_started_at) then array['started_at', 'is not a moment']
    when p_vcpus <= 0 then array['vcpus', 'is not a number above 0']
    when p_memory_gib <= 0 or p_memory_gib in ('NaN', 'Infinity') then array['memory_gib', 'is not a number above 0']
  end;
begin
  if v_wrong is not null then
    perform spend_private.fail_usage(v_wrong[1], v_wrong[2]);
  end if;
  if v_context.status = 'creating' and coalesce(v_context.sandbox_id = p_sandbox_id, v_context.claim_id = p_claim_id) then
    return spend_private.confirm_start(
      v_context, p_sandbox_id, p_started_at, p_expires_at, p_vcpus, p_memory_gib, p_enforce, p_now
    );
  elsif v_context.status = 'running' and v_context.sandbox_id = p_sandbox_id then
    return spend_private.confirm_end(v_context, p_expires_at, p_revision, p_now);
  end if;
  -- The caller must not kill a sandbox of another claim, or a paused one of its own.
  return spend_private.context_answer(v_context, case
    when v_context.sandbox_id = p_sandbox_id and v_context.ended_at is null then 'wait' else 'gone'
  end);
end;
$$;
comment on function spend_private.confirm_context is
  'spend.confirm_context with a clock.';

create function spend_private.confirm_start(
  p_context spend.execution_contexts,
  p_sandbox_id text,
  p_started_at timestamptz,
  p_expires_at timestamptz,
  p_vcpus integer,
  p_memory_gib numeric,
  p_enforce boolean,
  p_now timestamptz
)
returns spend.context_claim
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_needs_more boolean := p_vcpus > p_context.vcpus or p_memory_gib > p_context.memory_gib;
  v_timeout interval := make_interval(secs => p_context.timeout_seconds);
  v_end timestamptz;
  v_held spend.reserve_result;
  v_answer spend.context_claim;
begin
  p_context.clock_skew_seconds := spend_private.clock_skew(p_context, p_started_at, p_now);
  p_context.started_at := spend_private.interval_start(p_context, p_started_at, p_now);
  v_end := coalesce(
    spend_private.plausible_end(p_context, p_expires_at, p_now),
    case when p_context.sandbox_id is null then p_context.claimed_at else p_now end + v_timeout
  );
  p_context.held_until := p_context.started_at + v_timeout;
  if least(v_end, p_now + v_timeout) > p_context.held_until + interval '1 second' then
    -- The claim was taken over: the sandbox may have run since the first claim, and may run for a timeout from now.
    p_context.held_until := least(v_end, p_now + v_timeout);
    v_needs_more := true;
  end if;
  p_context.expires_at := least(v_end, p_context.held_until);
  p_context.vcpus := coalesce(p_vcpus, p_context.vcpus);
  p_context.memory_gib := coalesce(p_memory_gib, p_context.memory_gib);
  perform spend_private.compare_template(p_context, p_now);
  if v_needs_more then
    v_held := spend_private.extend_context(
      p_context, spend_private.seconds_between(p_now, p_context.held_until), p_enforce, p_now
    );
    if not v_held.allowed then
      -- Whoever ends it charges its real size.
      update spend.execution_contexts as c set vcpus = p_context.vcpus, memory_gib = p_context.memory_gib
      where c.tenant_id = p_context.tenant_id and c.id = p_context.id;
      v_answer := spend_private.context_answer(p_context, 'refused');
      v_answer.refusal := v_held;
      return v_answer;
    end if;
  end if;

  update spend.execution_contexts as c set
    status = 'running', sandbox_id = p_sandbox_id,
    started_at = p_context.started_at, expires_at = p_context.expires_at, held_until = p_context.held_until,
    clock_skew_seconds = p_context.clock_skew_seconds, revision = c.revision + 1,
    vcpus = p_context.vcpus, memory_gib = p_context.memory_gib
  where c.tenant_id = p_context.tenant_id and c.id = p_context.id
  returning c.* into p_context;
  return spend_private.confirmed_answer(p_context, p_now);
end;
$$;
comment on function spend_private.confirm_start is
  'Marks a context in creating as running. Extends the hold first if the sandbox is larger, or may run longer, than is held.';

create function spend_private.confirm_end(
  p_context spend.execution_contexts,
  p_expires_at timestamptz,
  p_revision integer,
  p_now timestamptz
)
returns spend.context_claim
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_is_newest boolean := coalesce(p_revision = p_context.revision, false);
  v_end timestamptz := spend_private.plausible_end(p_context, p_expires_at, p_now);
  v_is_open boolean := p_context.extension_is_open;
begin
  if v_end is null then
    -- E2B reports no plausible end: the requested end counts.
    v_end := case when v_is_newest then spend_private.requested_end(p_context) else p_context.expires_at end;
  end if;
  v_end := least(v_end, p_context.held_until);
  if not v_is_newest and v_end < p_context.expires_at - interval '1 second' then
    return spend_private.context_answer(p_context, 'again');
  elsif not v_is_newest then
    v_end := greatest(v_end, p_context.expires_at);
  end if;
  -- A report from before an extension does not confirm it.
  if v_is_newest or v_end >= p_context.held_until - interval '1 second' then
    v_is_open := false;
  end if;
  if v_end = p_context.expires_at and v_is_open = p_context.extension_is_open then
    return spend_private.confirmed_answer(p_context, p_now);
  end if;
  update spend.execution_contexts as c set
    expires_at = v_end, extension_is_open = v_is_open, revision = c.revision + 1
  where c.tenant_id = p_context.tenant_id and c.id = p_context.id
  returning c.* into p_context;
  return spend_private.confirmed_answer(p_context, p_now);
end;
$$;
comment on function spend_private.confirm_end is
  'Records when E2B ends a running context. Only a report from after the last change moves the end back.';

create function spend_private.confirmed_answer(p_context spend.execution_contexts, p_now timestamptz)
returns spend.context_claim
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.ready_answer(
    p_context, p_context.in_use_until,
    coalesce(p_context.expires_at < least(p_context.in_use_until, p_context.held_until) - interval '1 second', false),
    p_now
  );
end;
$$;
comment on function spend_private.confirmed_answer is
  'Answer to a confirmation. is_extended: E2B would still end it before an admitted run ends.';

create function spend_private.plausible_end(
  p_context spend.execution_contexts,
  p_reported_at timestamptz,
  p_now timestamptz
)
returns timestamptz
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_end timestamptz := spend_private.by_our_clock(p_context, p_reported_at);
begin
  -- A running sandbox has not ended.
  return case when v_end > p_now then v_end end;
end;
$$;
comment on function spend_private.plausible_end is
  'The end of a running sandbox as E2B reports it, by our clock; null when it is in the past.';

create function spend_private.compare_template(p_context spend.execution_contexts, p_now timestamptz)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_template spend.sandbox_templates;
  v_subject text := 'template ' || p_context.template;
begin
  select * into v_template from spend.sandbox_templates as t where t.template = p_context.template;
  if v_template.vcpus <> p_context.vcpus or v_template.memory_gib <> p_context.memory_gib then
    perform spend_private.record_sandbox_problem(
      v_subject,
      format(
        'E2B gives %s vCPU and %s GiB, spend.sandbox_templates says %s and %s: correct that row.',
        p_context.vcpus, trim_scale(p_context.memory_gib), v_template.vcpus, trim_scale(v_template.memory_gib)
      ),
      p_now
    );
  else
    perform spend_private.resolve_problem('sandboxes', v_subject, p_now);
  end if;
end;
$$;
comment on function spend_private.compare_template is
  'Records a problem when E2B gives sandboxes of a template another size than spend.sandbox_templates says.';
