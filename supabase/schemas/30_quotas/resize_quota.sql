create function spend_private.resize_quota(p_quota_id bigint)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota spend.cost_quotas;
  v_period_start timestamptz;
begin
  select * into v_quota from spend.cost_quotas as q where q.id = p_quota_id;
  for v_period_start in
    select distinct b.period_start
    from spend_private.quota_balances as b
    where b.quota_id = p_quota_id and b.period_end > now()
    order by b.period_start
  loop
    perform spend_private.lock_all_slots(p_quota_id, v_period_start);
    insert into spend_private.quota_balances (
      quota_id, period_start, slot, tenant_id, period_end, allotted_usd
    )
    select b.quota_id, b.period_start, s.slot, b.tenant_id, b.period_end, 0
    from spend_private.quota_balances as b
    cross join generate_series(1, v_quota.slots - 1) as s (slot)
    where b.quota_id = p_quota_id and b.period_start = v_period_start and b.slot = 0
    on conflict do nothing;
    perform spend_private.allot(p_quota_id, v_period_start);
  end loop;
end;
$$;
comment on function spend_private.resize_quota is
  'Redistributes a quota with a changed limit or warning threshold over its open balances, and adds slots where it has more now. Slots beyond a smaller number get no more room and drain.';
