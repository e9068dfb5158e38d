create function spend.resolve_context(tenant_id uuid, context_id uuid, listed_at timestamptz)
returns text
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.resolve_context(
    resolve_context.tenant_id, resolve_context.context_id, resolve_context.listed_at
  );
end;
$$;
comment on function spend.resolve_context is
  'Ends a context whose sandbox may or may not have started, and was not among E2B''s sandboxes at listed_at. If a started one would still have run then, none was started: the hold is released (answer released). Later, it may have run: the estimate is charged, flagged (answer booked). null: too early to say, or not open.
Errors: PT404 unknown_context. For service_role.';
grant execute on function spend.resolve_context to service_role;

create function spend_private.resolve_context(
  p_tenant_id uuid,
  p_context_id uuid,
  p_listed_at timestamptz,
  p_now timestamptz default now()
)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_context spend.execution_contexts := spend_private.lock_context(p_tenant_id, p_context_id);
  v_released boolean;
begin
  if v_context.booked_at is not null or v_context.status not in ('creating', 'failed')
    or p_listed_at <= v_context.claim_expires_at
  then
    return null;
  end if;
  -- If it was started, then after the claim, and so it ran at least until then.
  v_released := p_listed_at < v_context.claimed_at + make_interval(secs => v_context.timeout_seconds);
  if v_released then
    perform spend_private.release(v_context.reservation_id, 'never_started', p_now);
  else
    perform spend_private.settle(
      v_context.reservation_id, null, jsonb_build_object('end_reason', 'start_unknown'), p_now
    );
  end if;
  perform spend_private.close_context(v_context, 'failed', 'claim_expired', p_now, p_now);
  return case when v_released then 'released' else 'booked' end;
end;
$$;
comment on function spend_private.resolve_context is
  'spend.resolve_context with a clock.';
