create function spend_private.quota_details(
  p_quota spend.cost_quotas,
  p_period_start timestamptz,
  p_cost_usd numeric,
  p_now timestamptz default now()
)
returns spend.quota_details
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  return (
    select row(
      p_quota.id, p_quota.scope, p_quota.scope_id, p_quota.resource_type, p_quota.period, p_quota.limit_usd,
      u.spent_usd, u.reserved_usd, u.spent_usd + u.reserved_usd, p_cost_usd,
      greatest(p_quota.limit_usd - u.spent_usd - u.reserved_usd, 0),
      spend_private.utilization_percent(u.spent_usd + u.reserved_usd, p_quota.limit_usd),
      nullif(coalesce(u.period_end, upper(spend_private.quota_bounds(p_quota, p_now))), 'infinity')
    )::spend.quota_details
    from (
      select
        coalesce(sum(b.spent_usd), 0) as spent_usd, coalesce(sum(b.reserved_usd), 0) as reserved_usd,
        max(b.period_end) as period_end
      from spend_private.quota_balances as b
      where b.quota_id = p_quota.id and b.period_start = p_period_start
    ) as u
  );
end;
$$;
comment on function spend_private.quota_details(spend.cost_quotas, timestamptz, numeric, timestamptz) is
  'State of a quota in the period that begins at p_period_start, over all of its slots.';

create function spend_private.quota_details(
  p_quota_id bigint,
  p_period_start timestamptz,
  p_cost_usd numeric,
  p_now timestamptz default now()
)
returns spend.quota_details
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_quota spend.cost_quotas;
begin
  select * into v_quota from spend.cost_quotas as q where q.id = p_quota_id;
  return spend_private.quota_details(v_quota, p_period_start, p_cost_usd, p_now);
end;
$$;
comment on function spend_private.quota_details(bigint, timestamptz, numeric, timestamptz) is
  'State of the quota with this id, as quota_details of its row.';

create function spend_private.utilization_percent(p_used_usd numeric, p_limit_usd numeric)
returns numeric
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when p_limit_usd > 0 then round(100 * p_used_usd / p_limit_usd, 2) else 100 end;
end;
$$;
comment on function spend_private.utilization_percent is
  'Share of a limit that is used, in percent with two decimals; a limit of 0 is used up.';
grant execute on function spend_private.utilization_percent to authenticated, service_role;
