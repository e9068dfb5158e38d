create function spend_private.slot_with_room(
  p_quota_id bigint,
  p_period_start timestamptz,
  p_first integer,
  p_cost_usd numeric,
  p_is_observed boolean
)
returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return (
    select b.slot
    from spend_private.quota_balances as b
    where b.quota_id = p_quota_id and b.period_start = p_period_start
      and case
        when b.is_split then b.allotted_usd - b.spent_usd - b.reserved_usd >= p_cost_usd
        else p_is_observed
      end
    order by b.slot < p_first, b.slot
    limit 1
  );
end;
$$;
comment on function spend_private.slot_with_room is
  'A slot with room, locked or not, searched from p_first on; null when there is none. p_is_observed: the quota cannot refuse the call, so any slot will do where it is over its limit.';
