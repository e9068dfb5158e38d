create function spend.end_long_paused(paused_seconds integer, max_rows integer default 100)
returns setof spend.execution_contexts
language plpgsql volatile
-- Definer: no role may write contexts itself.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select c.* from spend_private.end_long_paused(end_long_paused.paused_seconds, end_long_paused.max_rows) as c;
end;
$$;
comment on function spend.end_long_paused is
  'Ends contexts that have been paused for longer than paused_seconds, longest first, max_rows at most, and returns them: they can no longer be resumed, and the caller kills their sandboxes. For service_role.';
grant execute on function spend.end_long_paused to service_role;

create function spend_private.end_long_paused(
  p_paused_seconds integer,
  p_max_rows integer,
  p_now timestamptz default now()
)
returns setof spend.execution_contexts
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_paused_seconds is null or p_paused_seconds < 1 then
    perform spend_private.fail_usage('paused_seconds', 'is not a number of seconds above 0');
  end if;
  return query
    update spend.execution_contexts as c set
      status = 'terminated', ended_at = p_now, end_reason = 'paused_too_long', paused_at = null,
      revision = c.revision + 1
    where (c.tenant_id, c.id) in (
      select p.tenant_id, p.id
      from spend.execution_contexts as p
      where p.status = 'paused' and p.paused_at < p_now - make_interval(secs => p_paused_seconds)
      order by p.paused_at
      limit greatest(p_max_rows, 0)
      for update skip locked
    )
    returning c.*;
end;
$$;
comment on function spend_private.end_long_paused is
  'spend.end_long_paused with a clock.';
