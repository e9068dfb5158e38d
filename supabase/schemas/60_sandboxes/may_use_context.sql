create function spend_private.may_use_context(p_context spend.execution_contexts, p_user_id uuid)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  -- The same rule as for reading: what a conversation's code left in its sandbox is part of the conversation.
  return p_user_id is null or coalesce(p_context.user_id = p_user_id, false) or exists (
    select from spend.tenant_members as m
    where m.tenant_id = p_context.tenant_id and m.user_id = p_user_id and m.role in ('owner', 'admin')
  );
end;
$$;
comment on function spend_private.may_use_context is
  'Whether a user may use a context: the user who opened it, owners and admins of its tenant, and the tenant itself (p_user_id null). The caller checks that the user is still a member.';
