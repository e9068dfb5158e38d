create function spend.end_context(
  tenant_id uuid,
  context_id uuid,
  status text,
  reason text,
  started_at timestamptz default null,
  ended_at timestamptz default null
)
returns text
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.end_context(
    end_context.tenant_id, end_context.context_id, end_context.status, end_context.reason,
    end_context.started_at, end_context.ended_at
  );
end;
$$;
comment on function spend.end_context is
  'The sandbox of a context does not run any more: paused, terminated or failed. Books the seconds that really ran, once, and returns the status that the context has now. started_at, ended_at: as E2B says; null: as the context knows, and now or the end of its time-out, whichever was first (now is a guess, and flagged is_estimated).
Errors: PT404 unknown_context, 22023 invalid_usage (status, a time, reason). For service_role.';
grant execute on function spend.end_context to service_role;

create function spend_private.end_context(
  p_tenant_id uuid,
  p_context_id uuid,
  p_status text,
  p_reason text,
  p_started_at timestamptz default null,
  p_ended_at timestamptz default null,
  p_now timestamptz default now()
)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_context spend.execution_contexts := spend_private.lock_context(p_tenant_id, p_context_id);
  v_started_at timestamptz;
  v_ended_at timestamptz;
  v_status text := p_status;
begin
  if p_status is null or p_status not in ('paused', 'terminated', 'failed') then
    perform spend_private.fail_usage('status', 'is not paused, terminated or failed');
  elsif not isfinite(p_started_at) or not isfinite(p_ended_at) then
    perform spend_private.fail_usage('started_at, ended_at', 'are not both moments');
  elsif length(p_reason) > 200 then
    perform spend_private.fail_usage('reason', 'is longer than 200 characters');
  end if;
  if v_context.booked_at is not null and (v_context.status <> 'paused' or p_status = 'paused') then
    return v_context.status;
  end if;
  -- Somebody tells late of an earlier pause: it has been resumed since.
  if p_status = 'paused' and p_ended_at < v_context.claimed_at then
    return v_context.status;
  end if;
  -- What has ended stays as it ended; only its cost was open.
  if v_context.status = 'failed' then
    v_status := 'failed';
  end if;

  v_started_at := coalesce(v_context.started_at, spend_private.interval_start(v_context, p_started_at));
  v_ended_at := coalesce(p_ended_at, least(p_now, v_context.expires_at));
  if v_context.booked_at is null then
    perform spend_private.settle(
      v_context.reservation_id,
      case when v_started_at is not null then
        spend_private.context_usage(v_context, spend_private.seconds_between(v_started_at, v_ended_at))
      end,
      jsonb_strip_nulls(jsonb_build_object(
        'sandbox_id', v_context.sandbox_id, 'end_reason', p_reason,
        -- It ended at some time before its time-out, and nobody can tell when.
        'is_estimated', case when p_ended_at is null and p_now < v_context.expires_at then true end
      )), p_now
    );
  end if;
  return spend_private.close_context(v_context, v_status, p_reason, v_ended_at, p_now);
end;
$$;
comment on function spend_private.end_context is
  'spend.end_context with a clock. A start that nobody knows is booked at the estimate, flagged.';

create function spend_private.close_context(
  p_context spend.execution_contexts,
  p_status text,
  p_reason text,
  p_ended_at timestamptz,
  p_now timestamptz
)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  update spend.execution_contexts as c set
    status = p_status,
    booked_at = coalesce(c.booked_at, p_now),
    paused_at = case p_status when 'paused' then p_ended_at end,
    ended_at = case when p_status <> 'paused' then coalesce(c.ended_at, p_ended_at) end,
    end_reason = coalesce(c.end_reason, case when p_status <> 'paused' then p_reason end),
    pause_claimed_until = null
  where c.tenant_id = p_context.tenant_id and c.id = p_context.id;
  return p_status;
end;
$$;
comment on function spend_private.close_context is
  'Marks a context whose hold is settled or released as paused, terminated or failed.';

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
  'The holder of a claim could not start or resume the sandbox. status: failed (E2B refused: nothing ran, the hold is released), paused (the same, and a sandbox that was to be resumed is as it was), unknown (E2B gave no answer: a sandbox may be running, the hold stays, reconciliation finds out). Returns the status that the context has now; a claim that was lost changes nothing.
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
  if p_status = 'unknown' then
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
