create function spend.look_at_paused(max_rows integer default 20)
returns setof spend.execution_contexts
language plpgsql volatile
-- Definer: no role may write contexts itself.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    update spend.execution_contexts as c set looked_at = clock_timestamp()
    where (c.tenant_id, c.id) in (
      select p.tenant_id, p.id
      from spend.execution_contexts as p
      where p.status = 'paused'
      order by p.looked_at nulls first
      limit greatest(look_at_paused.max_rows, 0)
      for update skip locked
    )
    returning c.*;
end;
$$;
comment on function spend.look_at_paused is
  'The paused contexts that were checked longest ago, max_rows at most: the caller asks E2B whether they still exist. Repeated calls reach each of them. For service_role.';
grant execute on function spend.look_at_paused to service_role;
