create function spend_private.open_balances(
  p_quota_id bigint,
  p_now timestamptz default now(),
  p_spent_usd numeric default 0,
  p_reserved_usd numeric default 0
)
returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_quota spend.cost_quotas;
  v_bounds tstzrange;
  v_room numeric;
  v_share numeric;
begin
  -- Share: a limit that is being changed is waited for, and a later change finds these rows.
  select * into v_quota from spend.cost_quotas as q where q.id = p_quota_id for share;
  if not found then
    return;
  end if;
  v_bounds := spend_private.quota_bounds(v_quota, p_now);
  v_room := v_quota.limit_usd - p_spent_usd - p_reserved_usd;
  v_share := case when v_room > 0 then trunc(v_room / v_quota.slots, 12) else 0 end;

  -- What is used already sits in slot 0, with the room that does not divide evenly.
  insert into spend_private.quota_balances (
    quota_id, period_start, slot, tenant_id, period_end,
    allotted_usd, spent_usd, reserved_usd, is_split
  )
  select
    v_quota.id, lower(v_bounds), s.slot,
    coalesce(v_quota.tenant_id, '00000000-0000-0000-0000-000000000000'), upper(v_bounds),
    case s.slot when 0 then v_quota.limit_usd - v_share * (v_quota.slots - 1) else v_share end,
    case s.slot when 0 then p_spent_usd else 0 end,
    case s.slot when 0 then p_reserved_usd else 0 end,
    v_room >= 0
  from generate_series(0, v_quota.slots - 1) as s (slot)
  order by s.slot
  on conflict do nothing;
end;
$$;
comment on function spend_private.open_balances is
  'Opens a quota''s balances for the period that contains p_now, allotted evenly over its slots. A new period needs no reset: its first call opens it, and whoever comes second finds it open.';
