create function spend_private.extend_context(
  p_context spend.execution_contexts,
  p_seconds numeric,
  p_enforce boolean,
  p_now timestamptz
)
returns spend.reserve_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.extend(
    p_context.reservation_id,
    -- The bound of the whole interval: what has run, and what may run from now on.
    spend_private.context_usage(
      p_context, spend_private.seconds_between(p_context.started_at, p_now) + p_seconds
    ),
    spend_private.context_ttl(p_seconds), p_enforce, p_now
  );
end;
$$;
comment on function spend_private.extend_context is
  'Extends the hold of a running context to p_seconds from now.';
