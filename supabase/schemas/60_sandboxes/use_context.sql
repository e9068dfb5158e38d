create function spend.use_context(
  context_id uuid,
  user_id uuid,
  claim_id uuid,
  run_seconds integer default 0,
  enforce boolean default true,
  claim_seconds integer default 60,
  tenant_id uuid default null
)
returns spend.context_claim
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.use_context(
    use_context.context_id, use_context.user_id, use_context.claim_id,
    use_context.run_seconds, use_context.enforce, use_context.claim_seconds,
    use_context.tenant_id
  );
end;
$$;
comment on function spend.use_context is
  'claim_context for an existing context: never creates one. Outcome gone for a context that has ended, does not exist, or that the user may not use (spend_private.may_use_context). tenant_id: only a context of this tenant; required where user_id is null, and the tenant itself asks.
Errors: as spend.claim_context. For service_role.';
grant execute on function spend.use_context to service_role;

create function spend_private.use_context(
  p_context_id uuid,
  p_user_id uuid,
  p_claim_id uuid,
  p_run_seconds integer default 0,
  p_enforce boolean default true,
  p_claim_seconds integer default 60,
  p_tenant_id uuid default null,
  p_now timestamptz default now()
)
returns spend.context_claim
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_context spend.execution_contexts;
begin
  perform spend_private.check_use(p_claim_id, p_run_seconds, p_claim_seconds);
  perform spend_private.join_calls(spend_private.tenant_key((
    select c.tenant_id
    from spend_private.tenants_of_caller(p_user_id, p_tenant_id) as t (id)
    join spend.execution_contexts as c on c.tenant_id = t.id and c.id = p_context_id
  )));
  select c.* into v_context
  from spend_private.tenants_of_caller(p_user_id, p_tenant_id) as t (id)
  join spend.execution_contexts as c on c.tenant_id = t.id and c.id = p_context_id
  for no key update of c;
  if not found or not spend_private.may_use_context(v_context, p_user_id) then
    v_context := null;
    v_context.id := p_context_id;
    return spend_private.context_answer(v_context, 'gone');
  end if;
  perform spend_private.authorise_call(
    v_context.tenant_id, p_user_id, 'e2b', spend_private.context_usage(v_context, p_run_seconds),
    v_context.task, p_now
  );
  return spend_private.enter_context(
    v_context, p_user_id, p_claim_id, p_run_seconds, p_enforce, p_claim_seconds, p_now
  );
end;
$$;
comment on function spend_private.use_context is
  'spend.use_context with a clock.';
