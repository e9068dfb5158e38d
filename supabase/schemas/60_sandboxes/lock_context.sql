create function spend_private.lock_context(p_tenant_id uuid, p_context_id uuid)
returns spend.execution_contexts
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_context spend.execution_contexts;
begin
  perform spend_private.join_calls(spend_private.tenant_key(p_tenant_id));
  select c.* into v_context
  from spend.execution_contexts as c
  where c.tenant_id = p_tenant_id and c.id = p_context_id
  for no key update;
  if not found then
    perform spend_private.fail(
      'PT404', 'unknown_context', jsonb_build_object('context_id', p_context_id),
      'Pass the context_id that claim_context returned.'
    );
  end if;
  return v_context;
end;
$$;
comment on function spend_private.lock_context is
  'Finds a context and locks it. Order of locks: context, then its reservation, then balances. Raises PT404 unknown_context.';
