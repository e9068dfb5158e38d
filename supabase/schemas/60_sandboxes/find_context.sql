create function spend.find_context(context_id uuid, user_id uuid)
returns setof spend.execution_contexts
language plpgsql stable
-- Definer: no role may call may_use_context.
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return query
    select c.*
    from spend.tenant_members as m
    join spend.execution_contexts as c on c.tenant_id = m.tenant_id and c.id = find_context.context_id
    where m.user_id = find_context.user_id and spend_private.may_use_context(c, find_context.user_id);
end;
$$;
comment on function spend.find_context is
  'The context, also one that has ended, if the user may use it; else no row. For service_role.';
grant execute on function spend.find_context to service_role;
