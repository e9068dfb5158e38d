create type spend_private.slot_usd as (
  slot integer,
  usd numeric
);
comment on type spend_private.slot_usd is
  'USD that open reservations hold in a slot of a quota.';

create function spend_private.open_balances(p_quota_id bigint, p_now timestamptz default now())
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_quota spend.cost_quotas;
  v_bounds tstzrange;
begin
  select * into v_quota from spend.cost_quotas as q where q.id = p_quota_id;
  if not found then
    return false;
  end if;
  v_bounds := spend_private.quota_bounds(v_quota, p_now);
  return spend_private.insert_balances(
    v_quota, v_bounds,
    spend_private.ledger_usd(v_quota, lower(v_bounds), upper(v_bounds)),
    spend_private.held_usd(v_quota, lower(v_bounds))
  );
end;
$$;
comment on function spend_private.open_balances is
  'Opens a quota''s balances for the period that contains p_now, from the ledger and the open reservations. A new period needs no reset: its first call opens it. False when another transaction opened them, which knows nothing of what this one has booked; or the quota was deleted.';

create function spend_private.held_usd(p_quota spend.cost_quotas, p_period_start timestamptz)
returns spend_private.slot_usd[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
begin
  return array(
    select row(h.slot, sum(r.estimated_cost_usd))::spend_private.slot_usd
    from spend.reservations as r
    cross join lateral unnest(r.holds) as h
    where r.status = 'held' and (p_quota.tenant_id is null or r.tenant_id = p_quota.tenant_id)
      and h.quota_id = p_quota.id and h.period_start = p_period_start
    group by h.slot
  );
end;
$$;
comment on function spend_private.held_usd is
  'What open reservations hold in the slots of a quota''s period, by their own rows.';

create function spend_private.insert_balances(
  p_quota spend.cost_quotas,
  p_bounds tstzrange,
  p_spent_usd numeric,
  p_held spend_private.slot_usd[]
)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_used_usd numeric := p_spent_usd + coalesce((select sum(h.usd) from unnest(p_held) as h), 0);
  v_is_below_threshold boolean := v_used_usd < p_quota.limit_usd * p_quota.warning_threshold;
  v_room_usd numeric := spend_private.allotment_usd(p_quota, v_is_below_threshold) - v_used_usd;
  v_share_usd numeric := trunc(greatest(v_room_usd, 0) / p_quota.slots, 12);
  v_are_opened boolean;
begin
  -- What is spent already sits in slot 0, with the room that does not divide evenly. A slot beyond the quota's number
  -- is there only where a reservation holds something in it.
  with opened as (
    insert into spend_private.quota_balances (
      quota_id, period_start, slot, tenant_id, period_end,
      allotted_usd, spent_usd, reserved_usd, is_split, is_below_threshold
    )
    select
      p_quota.id, lower(p_bounds), s.slot,
      coalesce(p_quota.tenant_id, '00000000-0000-0000-0000-000000000000'), upper(p_bounds),
      case
        when s.slot = 0 then p_spent_usd + s.held_usd + v_room_usd - v_share_usd * (p_quota.slots - 1)
        when s.slot < p_quota.slots then s.held_usd + v_share_usd
        else s.held_usd
      end,
      case s.slot when 0 then p_spent_usd else 0 end,
      s.held_usd, v_room_usd >= 0, v_is_below_threshold
    from (
      select coalesce(n.slot, h.slot) as slot, coalesce(h.usd, 0) as held_usd
      from generate_series(0, p_quota.slots - 1) as n (slot)
      full join unnest(p_held) as h on h.slot = n.slot
    ) as s
    order by s.slot
    on conflict do nothing
    returning slot
  )

  select count(*) filter (where o.slot = 0) > 0 into v_are_opened from opened as o;
  return v_are_opened;
end;
$$;
comment on function spend_private.insert_balances is
  'Writes the balances of a quota''s period, which have none yet: what is spent, what is held in each slot, and the room shared out evenly. False when there are some by now.';
