create function spend_private.lock_all_slots(p_quota_id bigint, p_period_start timestamptz)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  perform from spend_private.quota_balances as b
  where b.quota_id = p_quota_id and b.period_start = p_period_start
  order by b.slot
  for no key update;
end;
$$;
comment on function spend_private.lock_all_slots is
  'Locks the balances of a quota''s period in the order of slots. The caller reads them in a later statement: after a wait, this one still has its old snapshot.';
