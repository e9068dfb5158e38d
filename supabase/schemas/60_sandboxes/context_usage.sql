create function spend_private.context_usage(p_context spend.execution_contexts, p_seconds numeric)
returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object(
    'provider', 'e2b', 'template', p_context.template,
    'vcpus', p_context.vcpus, 'memory_gib', p_context.memory_gib,
    -- Charge every second begun; a clock that goes back returns nothing.
    'seconds', greatest(ceil(p_seconds), 0)
  );
end;
$$;
comment on function spend_private.context_usage is
  'Usage of a context that runs p_seconds, for reserve, extend and settle.';

create function spend_private.seconds_between(p_from timestamptz, p_until timestamptz)
returns numeric
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return extract(epoch from p_until) - extract(epoch from p_from);
end;
$$;
comment on function spend_private.seconds_between is
  'Seconds from p_from to p_until, exact to the microsecond.';
