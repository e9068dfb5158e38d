create function spend.fail_context(
  tenant_id uuid,
  context_id uuid,
  claim_id uuid,
  status text,
  reason text
)
returns text
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.fail_context(
    fail_context.tenant_id, fail_context.context_id, fail_context.claim_id,
    fail_context.status, fail_context.reason
  );
end;
$$;
comment on function spend.fail_context is
  'Records that the holder of a claim could not start or resume the sandbox. status: failed (E2B refused: nothing ran, the hold is released), paused (the same, and a sandbox to be resumed is still paused), unknown (E2B gave no answer: a sandbox may be running, the hold stays, and reconciliation finds out; the next caller resumes a paused one at once). Returns the context''s status; a lost claim changes nothing.
Errors: PT404 unknown_context, 22023 invalid_usage. For service_role.';
grant execute on function spend.fail_context to service_role;

create function spend_private.fail_context(
  p_tenant_id uuid,
  p_context_id uuid,
  p_claim_id uuid,
  p_status text,
  p_reason text,
  p_now timestamptz default now()
)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_context spend.execution_contexts := spend_private.lock_context(p_tenant_id, p_context_id);
begin
  if p_status is null or p_status not in ('failed', 'paused', 'unknown')
    or (p_status = 'paused' and v_context.sandbox_id is null)
  then
    perform spend_private.fail_usage('status', 'is not failed, paused or unknown, or paused without a sandbox');
  end if;
  if v_context.status <> 'creating' or v_context.claim_id is distinct from p_claim_id then
    return v_context.status;
  end if;
  if p_status = 'unknown' and v_context.sandbox_id is not null then
    -- Resuming is idempotent: let the next caller take the claim at once.
    update spend.execution_contexts as c set
      claim_expires_at = greatest(p_now, c.claimed_at + interval '1 millisecond')
    where c.tenant_id = p_tenant_id and c.id = p_context_id;
    return 'creating';
  elsif p_status = 'unknown' then
    update spend.execution_contexts as c set status = 'failed', ended_at = p_now, end_reason = p_reason
    where c.tenant_id = p_tenant_id and c.id = p_context_id;
    return 'failed';
  end if;
  perform spend_private.release(v_context.reservation_id, p_reason, p_now);
  return spend_private.close_context(v_context, p_status, p_reason, p_now, p_now);
end;
$$;
comment on function spend_private.fail_context is
  'spend.fail_context with a clock.';
