create function spend_private.close_context(
  p_context spend.execution_contexts,
  p_status text,
  p_reason text,
  p_ended_at timestamptz,
  p_now timestamptz
)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  update spend.execution_contexts as c set
    status = p_status,
    booked_at = coalesce(c.booked_at, p_now),
    paused_at = case p_status when 'paused' then p_ended_at end,
    ended_at = case when p_status <> 'paused' then coalesce(c.ended_at, p_ended_at) end,
    end_reason = coalesce(c.end_reason, case when p_status <> 'paused' then p_reason end),
    pause_claimed_until = null, extension_is_open = false, revision = c.revision + 1
  where c.tenant_id = p_context.tenant_id and c.id = p_context.id;
  return p_status;
end;
$$;
comment on function spend_private.close_context is
  'Marks a context whose hold is settled or released as paused, terminated or failed.';
