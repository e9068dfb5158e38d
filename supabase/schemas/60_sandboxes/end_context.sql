create function spend.end_context(
  tenant_id uuid,
  context_id uuid,
  status text,
  reason text,
  started_at timestamptz default null,
  ended_at timestamptz default null,
  ended_seconds_ago numeric default null,
  revision integer default null
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
    end_context.started_at, end_context.ended_at, end_context.ended_seconds_ago, end_context.revision
  );
end;
$$;
comment on function spend.end_context is
  'Records that the sandbox of a context no longer runs: paused, terminated or failed. Charges the seconds that it ran, once, and returns the context''s status.
ended_seconds_ago: the caller saw it end this many seconds ago. Else started_at, ended_at: as E2B reports, by E2B''s clock. Neither, or impossible times: from the context''s start until now or the end of its timeout, whichever was first (now is a guess, and flagged is_estimated; so is any end with reason lost).
revision: of the context as the caller knows it; if it has changed since, nothing happens.
Errors: PT404 unknown_context, 22023 invalid_usage (status, also paused before a sandbox has started; a time, reason). For service_role.';
grant execute on function spend.end_context to service_role;

create function spend_private.end_context(
  p_tenant_id uuid,
  p_context_id uuid,
  p_status text,
  p_reason text,
  p_started_at timestamptz default null,
  p_ended_at timestamptz default null,
  p_ended_seconds_ago numeric default null,
  p_revision integer default null,
  p_now timestamptz default now()
)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_context spend.execution_contexts := spend_private.lock_context(p_tenant_id, p_context_id);
  v_ended_at timestamptz;
  v_status text := p_status;
begin
  if p_status is null or p_status not in ('paused', 'terminated', 'failed') then
    perform spend_private.fail_usage('status', 'is not paused, terminated or failed');
  elsif not isfinite(p_started_at) or not isfinite(p_ended_at) then
    perform spend_private.fail_usage('started_at, ended_at', 'are not both moments');
  elsif not p_ended_seconds_ago between 0 and 86400 then
    perform spend_private.fail_usage('ended_seconds_ago', 'is not between 0 and 86400 (a day)');
  elsif length(p_reason) > 200 then
    perform spend_private.fail_usage('reason', 'is longer than 200 characters');
  end if;
  if v_context.booked_at is not null and (v_context.status <> 'paused' or p_status = 'paused') then
    return v_context.status;
  end if;
  v_ended_at := coalesce(
    p_now - make_interval(secs => round(p_ended_seconds_ago, 6)::double precision),
    spend_private.by_our_clock(v_context, p_ended_at)
  );
  -- A late report: it has been resumed since.
  if p_revision <> v_context.revision
    or (p_status = 'paused' and p_revision is null and v_ended_at < v_context.claimed_at)
  then
    return v_context.status;
  end if;
  -- A failed context stays failed; only its cost was open.
  if v_context.status = 'failed' then
    v_status := 'failed';
  elsif p_status = 'paused' and v_context.sandbox_id is null then
    perform spend_private.fail_usage('status', 'is paused, but no sandbox has started: pass terminated or failed');
  end if;
  if v_context.booked_at is null then
    v_ended_at := spend_private.book_interval(v_context, p_reason, p_started_at, v_ended_at, p_now);
  end if;
  return spend_private.close_context(
    v_context, v_status, p_reason, coalesce(v_ended_at, p_now), p_now
  );
end;
$$;
comment on function spend_private.end_context is
  'spend.end_context with a clock.';

create function spend_private.book_interval(
  p_context spend.execution_contexts,
  p_reason text,
  p_started_at timestamptz,
  p_ended_at timestamptz,
  p_now timestamptz
)
returns timestamptz
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_reported boolean;
  v_is_timed_out boolean;
  v_started_at timestamptz;
  v_ended_at timestamptz;
begin
  if p_context.started_at is null and p_started_at is not null then
    p_context.clock_skew_seconds := spend_private.clock_skew(p_context, p_started_at, p_now);
  end if;
  v_started_at := coalesce(
    p_context.started_at, spend_private.interval_start(p_context, p_started_at, p_now)
  );
  -- An end before the start, or in the future, comes from a wrong clock.
  v_is_reported := coalesce(p_ended_at between v_started_at and p_now + interval '1 second', false);
  v_ended_at := case
    when v_is_reported then least(p_ended_at, p_now)
    else greatest(least(p_now, spend_private.requested_end(p_context)), v_started_at)
  end;
  v_is_timed_out := coalesce(p_context.expires_at <= p_now, false)
    and not p_context.extension_is_open and p_reason is distinct from 'lost';
  perform spend_private.settle(
    p_context.reservation_id,
    -- Neither its start nor its end is known: charge the estimate.
    case when coalesce(p_context.started_at, p_started_at) is not null or v_is_reported then
      spend_private.context_usage(p_context, spend_private.seconds_between(v_started_at, v_ended_at))
    end,
    jsonb_strip_nulls(jsonb_build_object(
      'sandbox_id', p_context.sandbox_id, 'end_reason', p_reason,
      'clock_skew_seconds', nullif(p_context.clock_skew_seconds, 0),
      -- Its start or end is not known, or which clock is right.
      'is_estimated', nullif(
        not (v_is_reported or v_is_timed_out) or p_context.clock_skew_seconds <> 0
        or coalesce(p_context.started_at, p_started_at) is null, false
      )
    )), p_now
  );
  return v_ended_at;
end;
$$;
comment on function spend_private.book_interval is
  'Settles the hold of a context by the seconds that it ran, and returns when it ended. p_ended_at: by our clock, null when unknown. Without a known start or end, charges the estimate, flagged.';
