create function spend_private.clock_skew(
  p_context spend.execution_contexts,
  p_started_at timestamptz,
  p_now timestamptz
)
returns numeric
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_started_at timestamptz := spend_private.by_our_clock(p_context, p_started_at);
  v_skew numeric := p_context.clock_skew_seconds;
begin
  -- A resumed sandbox may report its first start.
  if v_started_at > p_now + interval '1 second'
    or (v_started_at < p_context.claimed_at - interval '1 second' and p_context.sandbox_id is null)
  then
    v_skew := spend_private.seconds_between(p_context.claimed_at, p_started_at);
    perform spend_private.record_sandbox_problem(
      'clock', format('E2B reports a start %s s after the request: its clock or ours is wrong.', round(v_skew)),
      p_now
    );
  elsif p_started_at is not null and v_skew = 0 then
    perform spend_private.resolve_problem('sandboxes', 'clock', p_now);
  end if;
  return v_skew;
end;
$$;
comment on function spend_private.clock_skew is
  'Seconds that E2B''s clock is ahead of ours, by the start that it reports: 0, or the known difference, where that start is possible. Records a difference as a problem.';
