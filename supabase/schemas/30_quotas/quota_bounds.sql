create function spend_private.quota_bounds(p_quota spend.cost_quotas, p_now timestamptz default now())
returns tstzrange
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return spend_private.period_bounds(
    p_quota.period,
    case p_quota.scope
      when 'platform' then 'UTC'
      else (select t.time_zone from spend.tenants as t where t.id = p_quota.tenant_id)
    end,
    p_now
  );
end;
$$;
comment on function spend_private.quota_bounds is
  'Period of a quota that contains p_now: in its tenant''s time zone, the platform''s in UTC.';
