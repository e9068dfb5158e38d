create function spend.open_contexts(after_id uuid default null, max_rows integer default 500)
returns setof spend.execution_contexts
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select c.*
    from spend.execution_contexts as c
    where c.booked_at is null
      and (open_contexts.after_id is null or c.id > open_contexts.after_id)
    order by c.id
    limit greatest(open_contexts.max_rows, 0);
end;
$$;
comment on function spend.open_contexts is
  'Contexts with an open hold, by id, page by page: those in creating, running ones, and failed ones whose cost is not known yet. For service_role.';
grant execute on function spend.open_contexts to service_role;
