create function spend_private.requested_end(p_context spend.execution_contexts)
returns timestamptz
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when p_context.extension_is_open then p_context.held_until else p_context.expires_at end;
end;
$$;
comment on function spend_private.requested_end is
  'When E2B ends a running context by itself, as it was last asked: an extension that it has not confirmed counts.';

create function spend_private.may_live_until(p_context spend.execution_contexts)
returns timestamptz
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- An admitted run is not given up on E2B's report alone.
  return greatest(
    spend_private.requested_end(p_context), least(p_context.in_use_until, p_context.held_until)
  );
end;
$$;
comment on function spend_private.may_live_until is
  'Until when a running context must not be ended without asking E2B.';

create function spend_private.by_our_clock(p_context spend.execution_contexts, p_reported_at timestamptz)
returns timestamptz
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return p_reported_at - make_interval(secs => p_context.clock_skew_seconds::double precision);
end;
$$;
comment on function spend_private.by_our_clock is
  'A time that E2B reports of a context''s sandbox, by our clock.';
