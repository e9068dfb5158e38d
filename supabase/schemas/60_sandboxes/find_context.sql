create function spend.find_context(context_id uuid, user_id uuid, tenant_id uuid default null)
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
    from spend_private.tenants_of_caller(find_context.user_id, find_context.tenant_id) as t (id)
    join spend.execution_contexts as c on c.tenant_id = t.id and c.id = find_context.context_id
    where spend_private.may_use_context(c, find_context.user_id);
end;
$$;
comment on function spend.find_context is
  'The context, also one that has ended, if the user may use it; else no row. tenant_id: only one of this tenant; required where user_id is null, and the tenant itself asks. For service_role.';
grant execute on function spend.find_context to service_role;
