create function spend_private.quota_details(
  p_quota_id bigint,
  p_period_start timestamptz,
  p_cost_usd numeric,
  p_now timestamptz default now()
)
returns spend.quota_details
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota spend.cost_quotas;
  v_details spend.quota_details;
begin
  select * into v_quota from spend.cost_quotas as q where q.id = p_quota_id;
  select
    coalesce(sum(b.spent_usd), 0), coalesce(sum(b.reserved_usd), 0),
    coalesce(max(b.period_end), upper(spend_private.quota_bounds(v_quota, p_now)))
  into v_details.spent_usd, v_details.reserved_usd, v_details.period_end
  from spend_private.quota_balances as b
  where b.quota_id = p_quota_id and b.period_start = p_period_start;

  return spend_private.details_of(
    v_quota, v_details.spent_usd, v_details.reserved_usd, p_cost_usd, v_details.period_end
  );
end;
$$;
comment on function spend_private.quota_details is
  'State of a quota in the period that begins at p_period_start, over all of its slots.';

create function spend_private.details_of(
  p_quota spend.cost_quotas,
  p_spent_usd numeric,
  p_reserved_usd numeric,
  p_cost_usd numeric,
  p_period_end timestamptz
)
returns spend.quota_details
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_used_usd numeric := p_spent_usd + p_reserved_usd;
begin
  return row(
    p_quota.id, p_quota.scope, p_quota.scope_id, p_quota.resource_type, p_quota.period, p_quota.limit_usd,
    p_spent_usd, p_reserved_usd, v_used_usd, p_cost_usd, greatest(p_quota.limit_usd - v_used_usd, 0),
    spend_private.utilization_percent(v_used_usd, p_quota.limit_usd), nullif(p_period_end, 'infinity')
  );
end;
$$;
comment on function spend_private.details_of is
  'quota_details from what is spent and held, in USD, in the period that ends at p_period_end.';

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
