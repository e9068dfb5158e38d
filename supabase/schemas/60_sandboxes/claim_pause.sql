create function spend.claim_pause(
  tenant_id uuid,
  context_id uuid,
  idle_seconds integer,
  claim_seconds integer default 60
)
returns boolean
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.claim_pause(
    claim_pause.tenant_id, claim_pause.context_id, claim_pause.idle_seconds, claim_pause.claim_seconds
  );
end;
$$;
comment on function spend.claim_pause is
  'Claims the right to pause a sandbox: true for one caller, when the context was not used for idle_seconds. For claim_seconds, or until it is paused, runs wait, so that none is interrupted. Errors: PT404 unknown_context, 22023 invalid_usage. For service_role.';
grant execute on function spend.claim_pause to service_role;

create function spend_private.claim_pause(
  p_tenant_id uuid,
  p_context_id uuid,
  p_idle_seconds integer,
  p_claim_seconds integer default 60,
  p_now timestamptz default now()
)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_context spend.execution_contexts := spend_private.lock_context(p_tenant_id, p_context_id);
begin
  if p_claim_seconds is null or p_claim_seconds not between 1 and 600 then
    perform spend_private.fail_usage('claim_seconds', 'is not between 1 and 600');
  elsif p_idle_seconds is null then
    perform spend_private.fail_usage('idle_seconds', 'is missing');
  end if;
  if v_context.status <> 'running' or v_context.pause_claimed_until > p_now
    or greatest(v_context.in_use_until, v_context.started_at) + make_interval(secs => p_idle_seconds) > p_now
  then
    return false;
  end if;
  update spend.execution_contexts as c set
    pause_claimed_until = p_now + make_interval(secs => p_claim_seconds)
  where c.tenant_id = p_tenant_id and c.id = p_context_id;
  return true;
end;
$$;
comment on function spend_private.claim_pause is
  'spend.claim_pause with a clock.';
