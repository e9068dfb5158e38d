create function spend.open_contexts(after_id uuid default null, max_rows integer default 500)
returns setof spend.execution_contexts
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select c.*
    from spend.execution_contexts as c
    where (c.status in ('creating', 'running', 'paused') or c.booked_at is null)
      and (open_contexts.after_id is null or c.id > open_contexts.after_id)
    order by c.id
    limit greatest(open_contexts.max_rows, 0);
end;
$$;
comment on function spend.open_contexts is
  'Contexts that reconciliation has to look at, by id, page by page: live ones, and failed ones whose cost is not known yet. For service_role.';
grant execute on function spend.open_contexts to service_role;

create function spend.claim_pause(tenant_id uuid, context_id uuid, idle_seconds integer)
returns boolean
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.claim_pause(claim_pause.tenant_id, claim_pause.context_id, claim_pause.idle_seconds);
end;
$$;
comment on function spend.claim_pause is
  'May the caller pause this sandbox? True for one caller, when nobody has used it for idle_seconds: for half a minute runs wait, so that none is paused under way. For service_role.';
grant execute on function spend.claim_pause to service_role;

create function spend_private.claim_pause(
  p_tenant_id uuid,
  p_context_id uuid,
  p_idle_seconds integer,
  p_now timestamptz default now()
)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_context spend.execution_contexts := spend_private.lock_context(p_tenant_id, p_context_id);
begin
  if v_context.status <> 'running' or v_context.pause_claimed_until > p_now
    or greatest(v_context.in_use_until, v_context.started_at) + make_interval(secs => p_idle_seconds) > p_now
  then
    return false;
  end if;
  update spend.execution_contexts as c set pause_claimed_until = p_now + interval '30 seconds'
  where c.tenant_id = p_tenant_id and c.id = p_context_id;
  return true;
end;
$$;
comment on function spend_private.claim_pause is
  'spend.claim_pause with a clock.';

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
  'Ends a context of which nobody knows whether its sandbox was started, and which was not among E2B''s sandboxes at listed_at. Asked in the time in which a started one would still have run: it was not, the hold is released (answer released). Asked later: it may have run, the estimate is booked, flagged (answer booked). null: too early to say, or not open.
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
  -- The sandbox started after the claim began, if at all, and so ran at least until then.
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

create function spend.book_stray_sandbox(
  tenant_id uuid,
  sandbox_id text,
  template text,
  vcpus integer,
  memory_gib numeric,
  started_at timestamptz,
  ended_at timestamptz,
  conversation_id text default null,
  path_id text default null
)
returns numeric
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  v_from timestamptz;
  v_seconds numeric;
  v_usage jsonb;
  v_held spend.reserve_result;
begin
  if book_stray_sandbox.sandbox_id is null then
    perform spend_private.fail_usage('sandbox_id', 'is missing');
  end if;
  perform spend_private.join_calls(spend_private.tenant_key(book_stray_sandbox.tenant_id));
  perform pg_advisory_xact_lock(hashtextextended('spend.stray ' || book_stray_sandbox.sandbox_id, 0));
  v_from := greatest(
    book_stray_sandbox.started_at,
    spend_private.paid_until(book_stray_sandbox.tenant_id, book_stray_sandbox.sandbox_id)
  );
  v_seconds := ceil(spend_private.seconds_between(v_from, book_stray_sandbox.ended_at));
  if v_seconds <= 0 then
    return 0;
  end if;

  v_usage := jsonb_build_object(
    'provider', 'e2b', 'template', book_stray_sandbox.template, 'vcpus', book_stray_sandbox.vcpus,
    'memory_gib', book_stray_sandbox.memory_gib, 'seconds', v_seconds
  );
  v_held := spend_private.reserve(
    book_stray_sandbox.tenant_id, null, 'e2b', v_usage, 'sandbox', book_stray_sandbox.conversation_id,
    book_stray_sandbox.path_id, p_enforce => false,
    p_metadata => jsonb_build_object('stray_sandbox_id', book_stray_sandbox.sandbox_id),
    p_closed_too => true
  );
  insert into spend_private.stray_sandboxes as s (tenant_id, sandbox_id, paid_until)
  values (
    book_stray_sandbox.tenant_id, book_stray_sandbox.sandbox_id,
    v_from + make_interval(secs => v_seconds::double precision)
  )
  on conflict on constraint stray_sandboxes_pkey do update set paid_until = excluded.paid_until;
  return (spend_private.settle(v_held.reservation_id, v_usage)).cost_usd;
end;
$$;
comment on function spend.book_stray_sandbox is
  'Books a sandbox that ran until ended_at although no context had it running: the seconds that neither a context nor an earlier call has paid for. Called before the sandbox is killed, with now, and again after it, a crash in between leaves nothing unpaid and books nothing twice. Also for a tenant that is closed. Returns the USD that this call booked.
Errors: as spend.reserve. For service_role.';
grant execute on function spend.book_stray_sandbox to service_role;

create function spend_private.paid_until(p_tenant_id uuid, p_sandbox_id text)
returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return greatest(
    (
      select max(coalesce(c.ended_at, c.paused_at))
      from spend.execution_contexts as c
      where c.tenant_id = p_tenant_id and c.sandbox_id = p_sandbox_id and c.booked_at is not null
    ),
    (
      select s.paid_until
      from spend_private.stray_sandboxes as s
      where s.tenant_id = p_tenant_id and s.sandbox_id = p_sandbox_id
    )
  );
end;
$$;
comment on function spend_private.paid_until is
  'Until when a sandbox''s seconds are booked, by its context or as a stray; null when none are.';
