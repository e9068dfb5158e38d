create function spend_private.await_turn(p_quota_id bigint)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Who waits for a row waits for the transaction that changed it last: each commit wakes all that wait, and all but one
  -- wait again. Here a commit wakes the next one alone.
  perform pg_advisory_xact_lock(spend_private.lock_class('turns'), p_quota_id::bit(32)::integer);
end;
$$;
comment on function spend_private.await_turn is
  'Queues for the only slot of a quota, in order of arrival. Right before that slot is locked, and only where it is the first balance that the transaction locks: one that has it already would wait for a caller that waits for it. Locks of balances stay what makes admission exact; who does not queue waits for those.';
