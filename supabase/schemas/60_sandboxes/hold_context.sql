create function spend_private.hold_context(
  p_context spend.execution_contexts,
  p_user_id uuid,
  p_enforce boolean,
  p_now timestamptz
)
returns spend.reserve_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.reserve(
    p_context.tenant_id, p_user_id, 'e2b',
    spend_private.context_usage(p_context, p_context.timeout_seconds),
    p_context.task, p_context.conversation_id, p_context.path_id,
    p_ttl_seconds => spend_private.context_ttl(p_context.timeout_seconds), p_enforce => p_enforce,
    p_metadata => jsonb_build_object('context_id', p_context.id), p_now => p_now
  );
end;
$$;
comment on function spend_private.hold_context is
  'Reserves a running interval of a context.';

create function spend_private.context_ttl(p_seconds numeric)
returns integer
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Leaves reconciliation, which knows the real end, ten minutes before expiry charges the estimate.
  return ceil(p_seconds) + 600;
end;
$$;
comment on function spend_private.context_ttl is
  'Seconds until the hold of a context that runs p_seconds from now expires.';
