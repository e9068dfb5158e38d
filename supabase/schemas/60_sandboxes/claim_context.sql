create function spend.claim_context(
  tenant_id uuid,
  user_id uuid,
  conversation_id text,
  claim_id uuid,
  path_id text default null,
  template text default 'code-interpreter-v1',
  timeout_seconds integer default 300,
  run_seconds integer default 0,
  task text default 'sandbox',
  enforce boolean default true,
  claim_seconds integer default 60
)
returns spend.context_claim
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.claim_context(
    claim_context.tenant_id, claim_context.user_id, claim_context.conversation_id,
    claim_context.claim_id, claim_context.path_id, claim_context.template,
    claim_context.timeout_seconds, claim_context.run_seconds, claim_context.task,
    claim_context.enforce, claim_context.claim_seconds
  );
end;
$$;
comment on function spend.claim_context is
  'Gets the context of a conversation''s path, or the claim to start its sandbox, and holds its cost, in one transaction. Of concurrent callers one is told to create, the others to wait. A live context is used as it is, whatever template and timeout_seconds say.
claim_id: chosen by the caller, new for each request; a retry with it is safe. run_seconds: how long the caller will use it; the timeout is extended when less than half of it would remain after that, and the extra time is held first. claim_seconds: after that another caller takes the claim over.
Errors: as spend.reserve; 42501 not_your_context (another member opened the live one), 22023 invalid_usage (template that is not in spend.sandbox_templates, time out of bounds). For service_role.';
grant execute on function spend.claim_context to service_role;

create function spend_private.claim_context(
  p_tenant_id uuid,
  p_user_id uuid,
  p_conversation_id text,
  p_claim_id uuid,
  p_path_id text default null,
  p_template text default 'code-interpreter-v1',
  p_timeout_seconds integer default 300,
  p_run_seconds integer default 0,
  p_task text default 'sandbox',
  p_enforce boolean default true,
  p_claim_seconds integer default 60,
  p_now timestamptz default now()
)
returns spend.context_claim
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_new spend.execution_contexts;
  v_live spend.execution_contexts;
  v_answer spend.context_claim;
begin
  perform spend_private.join_calls(spend_private.tenant_key(p_tenant_id));
  v_new := spend_private.new_context(
    p_tenant_id, p_user_id, p_conversation_id, p_claim_id, p_path_id, p_template,
    p_timeout_seconds, p_run_seconds, p_task, p_claim_seconds, p_now
  );
  -- Authorises the caller, also where a context exists and nothing is held.
  perform spend_private.authorise_call(
    p_tenant_id, p_user_id, 'e2b', spend_private.context_usage(v_new, v_new.timeout_seconds), p_task, p_now
  );

  -- One at a time for a path: the second caller must see the context that the first one made.
  perform pg_advisory_xact_lock(hashtextextended(
    jsonb_build_array(p_tenant_id, p_conversation_id, p_path_id)::text, 0
  ));
  select c.* into v_live
  from spend.execution_contexts as c
  where c.tenant_id = p_tenant_id and c.conversation_id = p_conversation_id
    -- Not "is not distinct from", which no index finds.
    and (c.path_id = p_path_id or (p_path_id is null and c.path_id is null))
    and c.status in ('creating', 'running', 'paused')
  for no key update;
  if found then
    if not spend_private.may_use_context(v_live, p_user_id) then
      perform spend_private.fail(
        '42501', 'not_your_context', jsonb_build_object('conversation_id', p_conversation_id),
        'Only the user who opened it, and owners and admins of the tenant, may use it. Use another conversation_id.'
      );
    end if;
    v_answer := spend_private.enter_context(
      v_live, p_user_id, p_claim_id, p_run_seconds, p_enforce, p_claim_seconds, p_now
    );
    if v_answer.outcome <> 'gone' then
      return v_answer;
    end if;
  end if;
  return spend_private.create_context(v_new, p_enforce, p_now);
end;
$$;
comment on function spend_private.claim_context is
  'spend.claim_context with a clock.';

create function spend_private.new_context(
  p_tenant_id uuid,
  p_user_id uuid,
  p_conversation_id text,
  p_claim_id uuid,
  p_path_id text,
  p_template text,
  p_timeout_seconds integer,
  p_run_seconds integer,
  p_task text,
  p_claim_seconds integer,
  p_now timestamptz
)
returns spend.execution_contexts
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_wrong text[];
  v_context spend.execution_contexts;
begin
  if p_conversation_id is null then
    perform spend_private.fail_usage('conversation_id', 'is missing');
  elsif p_timeout_seconds is null or p_timeout_seconds not between 1 and 86400 then
    perform spend_private.fail_usage('timeout_seconds', 'is not between 1 and 86400 (a day)');
  end if;
  perform spend_private.check_use(p_claim_id, p_run_seconds, p_claim_seconds);
  v_wrong := spend_private.wrong_argument(p_conversation_id, p_path_id, null, 1, '{}');
  if v_wrong is not null then
    perform spend_private.fail_usage(v_wrong[1], v_wrong[2]);
  end if;

  select t.template, t.vcpus, t.memory_gib into v_context.template, v_context.vcpus, v_context.memory_gib
  from spend.sandbox_templates as t where t.template = p_template;
  if not found then
    perform spend_private.fail_usage('template', 'is not in spend.sandbox_templates');
  end if;
  v_context.tenant_id := p_tenant_id;
  v_context.id := gen_random_uuid();
  v_context.user_id := p_user_id;
  v_context.conversation_id := p_conversation_id;
  v_context.path_id := p_path_id;
  v_context.task := coalesce(p_task, 'sandbox');
  -- Never shorter than its first run.
  v_context.timeout_seconds := greatest(p_timeout_seconds, p_run_seconds);
  v_context.status := 'creating';
  v_context.claim_id := p_claim_id;
  v_context.claimed_at := p_now;
  v_context.claim_expires_at := p_now + make_interval(secs => p_claim_seconds);
  v_context.in_use_until := p_now + make_interval(secs => p_run_seconds);
  v_context.created_at := p_now;
  v_context.extension_is_open := false;
  v_context.revision := 0;
  v_context.runs := (p_run_seconds > 0)::integer;
  v_context.clock_skew_seconds := 0;
  return v_context;
end;
$$;
comment on function spend_private.new_context is
  'Checks the arguments of claim_context and returns the new row, without its reservation. Raises 22023 invalid_usage.';

create function spend_private.create_context(
  p_context spend.execution_contexts,
  p_enforce boolean,
  p_now timestamptz
)
returns spend.context_claim
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_held spend.reserve_result := spend_private.hold_context(p_context, p_context.user_id, p_enforce, p_now);
  v_answer spend.context_claim;
begin
  if not v_held.allowed then
    v_answer.outcome := 'refused';
    v_answer.refusal := v_held;
    return v_answer;
  end if;
  p_context.reservation_id := v_held.reservation_id;
  insert into spend.execution_contexts select p_context.*;
  return spend_private.context_answer(p_context, 'create');
end;
$$;
comment on function spend_private.create_context is
  'Holds the seconds of a timeout for a new context and inserts it; a refusal inserts nothing.';
