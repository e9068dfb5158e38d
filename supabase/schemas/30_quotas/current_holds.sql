create function spend_private.current_holds(
  p_tenant_id uuid,
  p_time_zone text,
  p_user_id uuid,
  p_resource_type text,
  p_at timestamptz
)
returns spend.reservation_hold[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quotas spend_private.applicable_quota[] := spend_private.applicable_quotas(
    row(
      p_tenant_id, p_time_zone, p_user_id, p_resource_type,
      null::text, null::text, null::text, null::jsonb, 0::numeric, null::bigint[],
      null::text, null::bigint, false
    ), true, p_at
  );
  v_quota spend_private.applicable_quota;
  v_holds spend.reservation_hold[] := '{}';
begin
  perform spend_private.open_periods(v_quotas, p_at);
  foreach v_quota in array v_quotas loop
    v_holds := v_holds || row(v_quota.quota_id, v_quota.period_start, 0)::spend.reservation_hold;
  end loop;
  return v_holds;
end;
$$;
comment on function spend_private.current_holds is
  'Balances, opened where they are not, that a booking at p_at without a reservation, and so without task or product, counts in; in lock order.';
