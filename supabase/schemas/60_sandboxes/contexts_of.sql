create function spend.contexts_of(sandboxes jsonb)
returns setof spend.execution_contexts
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select c.*
    from spend.execution_contexts as c
    where (c.tenant_id, c.id) in (
      select s.tenant_id, s.context_id
      from jsonb_to_recordset(contexts_of.sandboxes) as s (tenant_id uuid, context_id uuid)
      limit 1000
    );
end;
$$;
comment on function spend.contexts_of is
  'The contexts that sandboxes of E2B name in their metadata, in any status. sandboxes: [{"tenant_id", "context_id"}, …], 1,000 at most. For service_role.';
grant execute on function spend.contexts_of to service_role;
