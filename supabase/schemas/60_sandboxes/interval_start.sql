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
  -- It cannot have begun before it was claimed, nor later than now. Paused time is free, and a resumed sandbox may
  -- still tell when it was made.
  return case when v_started_at between p_context.claimed_at and p_now then v_started_at else p_context.claimed_at end;
end;
$$;
comment on function spend_private.interval_start is
  'When the running interval began that a context in creating was claimed for, by our clock: as E2B says, else when it was claimed.';
