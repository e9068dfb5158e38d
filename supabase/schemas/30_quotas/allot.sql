create function spend_private.allot(
  p_quota_id bigint,
  p_period_start timestamptz,
  p_slot integer default 0,
  p_cost_usd numeric default 0
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_quota spend.cost_quotas;
  v_is_below_threshold boolean;
  v_shares integer := 1;
  v_used_usd numeric;
  v_room_usd numeric;
  v_share_usd numeric := 0;
begin
  select * into v_quota from spend.cost_quotas as q where q.id = p_quota_id;
  select sum(b.spent_usd + b.reserved_usd) + p_cost_usd into v_used_usd
  from spend_private.quota_balances as b
  where b.quota_id = p_quota_id and b.period_start = p_period_start;

  v_is_below_threshold := v_used_usd < v_quota.limit_usd * v_quota.warning_threshold;
  v_room_usd := spend_private.allotment_usd(v_quota, v_is_below_threshold) - v_used_usd;
  if v_room_usd > 0 then
    -- A share of less than a few calls would only bring the next call here again: near the limit, fewer slots get one.
    v_shares := case
      when p_cost_usd > 0 then least(greatest(floor(v_room_usd / (4 * p_cost_usd)), 1), v_quota.slots)
      else v_quota.slots
    end;
    v_share_usd := trunc(v_room_usd / v_shares, 12);
  end if;

  update spend_private.quota_balances as b set
    allotted_usd = b.spent_usd + b.reserved_usd + case
      when b.slot = p_slot then p_cost_usd + v_room_usd - v_share_usd * (v_shares - 1)
      when s.place < v_shares then v_share_usd
      else 0
    end,
    is_split = v_room_usd >= 0,
    is_below_threshold = v_is_below_threshold
  from (
    -- The slots that follow p_slot come first. Slots beyond the quota's number drain: they get no share.
    select o.slot, row_number() over (
      order by o.slot = p_slot, o.slot >= v_quota.slots, o.slot < p_slot, o.slot
    ) as place
    from spend_private.quota_balances as o
    where o.quota_id = p_quota_id and o.period_start = p_period_start
  ) as s
  where b.quota_id = p_quota_id and b.period_start = p_period_start and b.slot = s.slot;
end;
$$;
comment on function spend_private.allot is
  'Redistributes a quota over its slots, all of which the caller has locked: each slot is allotted what it uses, p_slot also the cost of the coming call, and the rest (allotment_usd) is shared evenly. Without room, p_slot carries the excess.';

create function spend_private.allotment_usd(p_quota spend.cost_quotas, p_is_below_threshold boolean)
returns numeric
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    -- Rounded once, here, to what a balance can store: limit times threshold has fifteen decimals.
    when p_is_below_threshold
      then ceil(p_quota.limit_usd * p_quota.warning_threshold * 1000000000000) * 0.000000000001 - 0.000000000001
    else p_quota.limit_usd
  end;
end;
$$;
comment on function spend_private.allotment_usd is
  'USD that the slots of a quota are allotted in all: its limit, or, while it is below its warning threshold, the last amount below that.';
