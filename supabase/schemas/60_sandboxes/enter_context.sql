create function spend_private.enter_context(
  p_context spend.execution_contexts,
  p_user_id uuid,
  p_claim_id uuid,
  p_run_seconds integer,
  p_enforce boolean,
  p_claim_seconds integer,
  p_now timestamptz
)
returns spend.context_claim
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  case p_context.status
    when 'running' then
      return spend_private.enter_running(p_context, p_run_seconds, p_enforce, p_now);
    when 'paused' then
      return spend_private.resume_context(p_context, p_user_id, p_claim_id, p_run_seconds, p_enforce, p_claim_seconds, p_now);
    when 'creating' then
      return spend_private.enter_creating(p_context, p_claim_id, p_run_seconds, p_claim_seconds, p_now);
    else
      return spend_private.context_answer(p_context, 'gone');
  end case;
end;
$$;
comment on function spend_private.enter_context is
  'What a caller may do with an existing context, which is locked.';

create function spend_private.enter_running(
  p_context spend.execution_contexts,
  p_run_seconds integer,
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
  v_used_until timestamptz := p_now + make_interval(secs => p_run_seconds);
  v_until timestamptz;
  v_held spend.reserve_result;
  v_answer spend.context_claim;
begin
  if p_context.pause_claimed_until > p_now then
    return spend_private.context_answer(p_context, 'wait');
  end if;
  if spend_private.may_live_until(p_context) <= p_now then
    perform spend_private.end_context(p_context.tenant_id, p_context.id, 'terminated', 'timed_out', p_now => p_now);
    return spend_private.context_answer(p_context, 'gone');
  end if;

  -- Each use restarts the timeout. Extend it at E2B, and the hold, only when less than half would remain.
  if p_context.expires_at < v_used_until + make_interval(secs => p_context.timeout_seconds / 2.0) then
    -- Never earlier than another caller was promised.
    v_until := greatest(
      p_now + make_interval(secs => greatest(p_context.timeout_seconds, p_run_seconds)),
      p_context.held_until, p_context.in_use_until
    );
    if v_until > p_context.held_until then
      v_held := spend_private.extend_context(
        p_context, ceil(spend_private.seconds_between(p_now, v_until)), p_enforce, p_now
      );
      if v_held.allowed then
        p_context.held_until := v_until;
      elsif p_context.held_until < v_used_until then
        v_answer := spend_private.context_answer(p_context, 'refused');
        v_answer.refusal := v_held;
        return v_answer;
      end if;
    end if;
    -- Until E2B confirms, the earlier end counts, and the next caller asks E2B too.
    if p_context.expires_at < p_context.held_until then
      p_context.extension_is_open := true;
      p_context.revision := p_context.revision + 1;
    end if;
  end if;

  p_context.runs := p_context.runs + (p_run_seconds > 0)::integer;
  update spend.execution_contexts as c set
    held_until = p_context.held_until, extension_is_open = p_context.extension_is_open,
    revision = p_context.revision, runs = p_context.runs, in_use_until = greatest(c.in_use_until, v_used_until)
  where c.tenant_id = p_context.tenant_id and c.id = p_context.id;
  return spend_private.ready_answer(p_context, v_used_until, p_context.extension_is_open, p_now);
end;
$$;
comment on function spend_private.enter_running is
  'Uses a running context for p_run_seconds. Near its timeout, extends the hold first; without room for that, refuses only a run that would not end in time.';

create function spend_private.resume_context(
  p_context spend.execution_contexts,
  p_user_id uuid,
  p_claim_id uuid,
  p_run_seconds integer,
  p_enforce boolean,
  p_claim_seconds integer,
  p_now timestamptz
)
returns spend.context_claim
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_held spend.reserve_result;
  v_answer spend.context_claim;
begin
  p_context.timeout_seconds := greatest(p_context.timeout_seconds, p_run_seconds);
  -- The answer has no times of the interval that ended, also when it is a refusal.
  p_context.started_at := null;
  p_context.expires_at := null;
  p_context.held_until := null;
  p_context.extension_is_open := false;
  v_held := spend_private.hold_context(p_context, p_user_id, p_enforce, p_now);
  if not v_held.allowed then
    v_answer := spend_private.context_answer(p_context, 'refused');
    v_answer.refusal := v_held;
    return v_answer;
  end if;

  update spend.execution_contexts as c set
    status = 'creating', timeout_seconds = p_context.timeout_seconds,
    reservation_id = v_held.reservation_id, booked_at = null,
    claim_id = p_claim_id, claimed_at = p_now,
    claim_expires_at = p_now + make_interval(secs => p_claim_seconds),
    in_use_until = p_now + make_interval(secs => p_run_seconds),
    started_at = null, expires_at = null, held_until = null, extension_is_open = false,
    paused_at = null, looked_at = null, pause_claimed_until = null, revision = c.revision + 1,
    runs = c.runs + (p_run_seconds > 0)::integer
  where c.tenant_id = p_context.tenant_id and c.id = p_context.id
  returning c.* into p_context;
  return spend_private.context_answer(p_context, 'resume');
end;
$$;
comment on function spend_private.resume_context is
  'Holds a new running interval of a paused context and gives the caller the claim to resume it.';

create function spend_private.enter_creating(
  p_context spend.execution_contexts,
  p_claim_id uuid,
  p_run_seconds integer,
  p_claim_seconds integer,
  p_now timestamptz
)
returns spend.context_claim
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  if p_context.claim_id = p_claim_id then
    return spend_private.context_answer(
      p_context, case when p_context.sandbox_id is null then 'create' else 'resume' end
    );
  end if;
  if p_context.claim_expires_at > p_now then
    return spend_private.context_answer(p_context, 'wait');
  end if;

  if p_context.sandbox_id is null then
    -- Whether a sandbox was started is unknown: reconciliation finds out, and charges it.
    update spend.execution_contexts as c set
      status = 'failed', ended_at = p_now, end_reason = 'claim_expired'
    where c.tenant_id = p_context.tenant_id and c.id = p_context.id;
    return spend_private.context_answer(p_context, 'gone');
  end if;
  -- Resuming is idempotent, and the hold exists: only the claim changes.
  update spend.execution_contexts as c set
    claim_id = p_claim_id, claim_expires_at = p_now + make_interval(secs => p_claim_seconds),
    in_use_until = greatest(c.in_use_until, p_now + make_interval(secs => p_run_seconds)),
    revision = c.revision + 1, runs = c.runs + (p_run_seconds > 0)::integer
  where c.tenant_id = p_context.tenant_id and c.id = p_context.id
  returning c.* into p_context;
  return spend_private.context_answer(p_context, 'resume');
end;
$$;
comment on function spend_private.enter_creating is
  'Waits for the caller that is creating or resuming, or takes over its expired claim.';
