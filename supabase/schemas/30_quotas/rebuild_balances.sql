create function spend.rebuild_balances(quota_id bigint)
returns void
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota spend.cost_quotas;
  v_period record;
begin
  perform spend_private.demand_read_committed();
  perform spend_private.lock_quota_changes();
  select * into v_quota from spend.cost_quotas as q where q.id = rebuild_balances.quota_id;
  if not found then
    perform spend_private.fail(
      'PT404', 'unknown_quota', jsonb_build_object('quota_id', rebuild_balances.quota_id),
      'Pass the id of a row of spend.cost_quotas.'
    );
  end if;
  perform spend_private.stop_calls(array[v_quota.tenant_id]);
  perform spend_private.recount_quotas(array[v_quota.id], array[v_quota.tenant_id], p_from_events => true);

  -- Ended periods, but only those of its present shape.
  for v_period in
    with gone as (
      delete from spend_private.quota_balances as b
      where b.quota_id = v_quota.id and b.period_end <= now()
        and b.period_end > greatest(
          v_quota.shape_since, (select t.time_zone_since from spend.tenants as t where t.id = v_quota.tenant_id)
        )
      returning b.period_start
    )

    select distinct g.period_start from gone as g order by g.period_start
  loop
    perform spend_private.open_balances(v_quota.id, v_period.period_start);
  end loop;
end;
$$;
comment on function spend.rebuild_balances is
  'Rebuilds the balances of a quota from the ledger and the open reservations, when verify_balances() reports it. Calls that count in it wait meanwhile. Errors: PT404 unknown_quota, 55P03. For service_role.';
grant execute on function spend.rebuild_balances to service_role;
