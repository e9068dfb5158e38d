create function spend_private.interval_start(
  p_context spend.execution_contexts,
  p_started_at timestamptz,
  p_now timestamptz
)
returns timestamptz
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := spend_private.by_our_clock(p_context, p_started_at);
begin
  -- It cannot have begun before its claim, nor after now. Paused time is free, and a resumed sandbox may report its first
  -- start.
  return case when v_started_at between p_context.claimed_at and p_now then v_started_at else p_context.claimed_at end;
end;
$$;
comment on function spend_private.interval_start is
  'When the running interval of a context in creating began, by our clock: as E2B reports, else when it was claimed.';
