create function spend.confirm_context(
  tenant_id uuid,
  context_id uuid,
  claim_id uuid,
  sandbox_id text,
  started_at timestamptz,
  expires_at timestamptz,
  vcpus integer,
  memory_gib numeric
)
returns text
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
    confirm_context.vcpus, confirm_context.memory_gib
  );
end;
$$;
comment on function spend.confirm_context is
  'Records what E2B says of a sandbox that was started, resumed or extended, and returns the context''s status. Other than running: the claim was lost, the caller kills the sandbox and calls end_context with its times.
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
  p_memory_gib numeric
)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_context spend.execution_contexts := spend_private.lock_context(p_tenant_id, p_context_id);
  -- What cannot be booked in the end is not taken in the beginning.
  v_wrong text[] := case
    when p_sandbox_id is null then array['sandbox_id', 'is missing']
    when p_expires_at is null then array['expires_at', 'is missing']
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
    update spend.execution_contexts as c set
      status = 'running', sandbox_id = p_sandbox_id,
      started_at = spend_private.interval_start(v_context, p_started_at), expires_at = p_expires_at,
      vcpus = coalesce(p_vcpus, c.vcpus), memory_gib = coalesce(p_memory_gib, c.memory_gib)
    where c.tenant_id = p_tenant_id and c.id = p_context_id;
    return 'running';
  end if;
  if v_context.status = 'running' and v_context.sandbox_id is distinct from p_sandbox_id then
    return 'failed';
  end if;
  if v_context.status = 'running' then
    update spend.execution_contexts as c set expires_at = p_expires_at
    where c.tenant_id = p_tenant_id and c.id = p_context_id;
  end if;
  return v_context.status;
end;
$$;
comment on function spend_private.confirm_context is
  'See spend.confirm_context.';

create function spend_private.interval_start(p_context spend.execution_contexts, p_started_at timestamptz)
returns timestamptz
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A resumed sandbox may still tell when it was made; paused time is free, and before the claim it was paused.
  return case when p_context.sandbox_id is null then p_started_at
    else greatest(p_started_at, p_context.claimed_at) end;
end;
$$;
comment on function spend_private.interval_start is
  'When the running interval began that a context in creating was claimed for.';
