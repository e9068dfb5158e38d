create function spend_private.context_answer(p_context spend.execution_contexts, p_outcome text)
returns spend.context_claim
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return row(
    p_outcome, p_context.tenant_id, p_context.id, p_context.conversation_id, p_context.path_id,
    p_context.template, p_context.sandbox_id, p_context.timeout_seconds, null::integer,
    p_context.started_at, p_context.expires_at, null::spend.reserve_result,
    null::timestamptz, null::boolean, p_context.revision, p_context.runs
  );
end;
$$;
comment on function spend_private.context_answer is
  'context_claim of a context.';

create function spend_private.ready_answer(
  p_context spend.execution_contexts,
  p_in_use_until timestamptz,
  p_is_extended boolean,
  p_now timestamptz
)
returns spend.context_claim
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_answer spend.context_claim := spend_private.context_answer(p_context, 'ready');
begin
  v_answer.set_timeout_seconds := greatest(ceil(spend_private.seconds_between(p_now, p_context.held_until)), 1);
  v_answer.in_use_until := p_in_use_until;
  v_answer.is_extended := p_is_extended;
  return v_answer;
end;
$$;
comment on function spend_private.ready_answer is
  'context_claim of a context that runs.';
