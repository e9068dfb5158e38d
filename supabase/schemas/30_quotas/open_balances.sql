create function spend_private.open_balances(
  p_quota_id bigint,
  p_now timestamptz default now(),
  p_spent_usd numeric default 0,
  p_reserved_usd numeric default 0
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota spend.cost_quotas;
  v_bounds tstzrange;
  v_is_calm boolean;
  v_allotment numeric;
  v_share numeric;
begin
  -- Share: a limit that is being changed is waited for, and a later change finds these rows.
  select * into v_quota from spend.cost_quotas as q where q.id = p_quota_id for share;
  if not found then
    return;
  end if;
  v_bounds := spend_private.quota_bounds(v_quota, p_now);
  v_is_calm := p_spent_usd + p_reserved_usd < v_quota.limit_usd * v_quota.warning_threshold;
  v_allotment := spend_private.allotment_usd(v_quota, v_is_calm);
  v_share := trunc(greatest(v_allotment - p_spent_usd - p_reserved_usd, 0) / v_quota.slots, 12);

  -- What is used already sits in slot 0, with the room that does not divide evenly.
  insert into spend_private.quota_balances (
    quota_id, period_start, slot, tenant_id, period_end,
    allotted_usd, spent_usd, reserved_usd, is_split, is_calm
  )
  select
    v_quota.id, lower(v_bounds), s.slot,
    coalesce(v_quota.tenant_id, '00000000-0000-0000-0000-000000000000'), upper(v_bounds),
    case s.slot when 0 then v_allotment - v_share * (v_quota.slots - 1) else v_share end,
    case s.slot when 0 then p_spent_usd else 0 end,
    case s.slot when 0 then p_reserved_usd else 0 end,
    v_allotment >= p_spent_usd + p_reserved_usd,
    v_is_calm
  from generate_series(0, v_quota.slots - 1) as s (slot)
  order by s.slot
  on conflict do nothing;
end;
$$;
comment on function spend_private.open_balances is
  'Opens a quota''s balances for the period that contains p_now, allotted evenly over its slots. A new period needs no reset: its first call opens it, and whoever comes second finds it open.';

create function spend_private.allotment_usd(p_quota spend.cost_quotas, p_is_calm boolean)
returns numeric
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when p_is_calm then p_quota.limit_usd * p_quota.warning_threshold - 0.000000000001
    else p_quota.limit_usd
  end;
end;
$$;
comment on function spend_private.allotment_usd is
  'USD that the slots of a quota may give in all: its limit, or, while it is calm, the last amount below its warning threshold.';
