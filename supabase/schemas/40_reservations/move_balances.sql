create function spend_private.move_balances(
  p_holds spend.reservation_hold[],
  p_reserved_usd numeric,
  p_spent_usd numeric
)
returns spend.reservation_hold[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_hold spend.reservation_hold;
  v_is_below_threshold boolean;
  v_at_threshold spend.reservation_hold[] := '{}';
begin
  foreach v_hold in array p_holds loop
    update spend_private.quota_balances as b set
      reserved_usd = b.reserved_usd + p_reserved_usd,
      spent_usd = b.spent_usd + p_spent_usd
    where b.quota_id = v_hold.quota_id and b.period_start = v_hold.period_start and b.slot = v_hold.slot
    returning b.is_below_threshold into v_is_below_threshold;
    if not v_is_below_threshold then
      v_at_threshold := v_at_threshold || v_hold;
    end if;
  end loop;
  return v_at_threshold;
end;
$$;
comment on function spend_private.move_balances is
  'Adds to what is held and spent, in USD, in each of the balances, in their order. Skips a balance whose quota was deleted. Returns those whose quotas may be at or above the warning threshold.';
