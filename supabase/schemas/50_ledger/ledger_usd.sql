create function spend_private.ledger_usd(
  p_quota spend.cost_quotas,
  p_from timestamptz,
  p_before timestamptz
)
returns numeric
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_kept_from timestamptz := (select s.kept_from from spend_private.ledger_state as s);
  v_usd numeric;
begin
  select coalesce(sum(e.cost_usd), 0) into v_usd
  from spend.cost_events as e
  where (p_quota.tenant_id is null or e.tenant_id = p_quota.tenant_id)
    and (p_quota.scope <> 'user' or e.user_id = p_quota.scope_id)
    and p_quota.resource_type in ('all', e.resource_type)
    and (p_quota.task is null or e.task = p_quota.task)
    and (p_quota.product is null or e.product = p_quota.product)
    and e.occurred_at >= greatest(p_from, v_kept_from) and e.occurred_at < p_before;
  if p_from >= v_kept_from then
    return v_usd;
  end if;

  return v_usd + (
    select coalesce(sum(h.cost_usd), 0)
    from spend.hourly_costs as h
    where (p_quota.tenant_id is null or h.tenant_id = p_quota.tenant_id)
      and (p_quota.scope <> 'user' or h.user_id = p_quota.scope_id)
      and p_quota.resource_type in ('all', h.resource_type)
      and (p_quota.task is null or h.task = p_quota.task)
      and (p_quota.product is null or h.product = p_quota.product)
      and h.hour >= p_from and h.hour < least(p_before, v_kept_from)
  );
end;
$$;
comment on function spend_private.ledger_usd is
  'USD that a quota''s subject spent from p_from to before p_before: the sum of its events, and of the roll-ups for months that retention dropped.';
