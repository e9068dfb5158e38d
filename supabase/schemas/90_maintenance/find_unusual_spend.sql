create function spend_private.find_unusual_spend(p_max_tenants integer, p_now timestamptz default now())
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_tenant_ids uuid[] := spend_private.next_tenants('find_unusual_spend', p_max_tenants, p_now);
  v_found record;
begin
  for v_found in
    select d.*, t.name, d.day::timestamp at time zone t.time_zone as day_start
    from (
      -- No day of others stands out: unusual_spend looks at days of a dollar or more.
      select r.tenant_id
      from spend_private.cost_rollups as r
      where r.tenant_id = any (v_tenant_ids) and r.hour >= p_now - interval '3 days' and r.cost_usd > 0
      group by r.tenant_id
      having sum(r.cost_usd) >= 1
    ) as c
    join spend.tenants as t on t.id = c.tenant_id
    cross join lateral spend.unusual_spend(c.tenant_id, days => 2) as d
    order by d.tenant_id, d.day
  loop
    perform spend_private.record_subject_alert(
      'unusual_spend', v_found.tenant_id, v_found.day::text, v_found.day_start,
      format(
        'Spend on %s stands out: $%s, where such a day usually costs $%s.',
        v_found.day, trim_scale(v_found.cost_usd), trim_scale(v_found.usual_usd)
      ),
      jsonb_build_object(
        'day', v_found.day, 'cost_usd', trim_scale(v_found.cost_usd)::text,
        'usual_usd', trim_scale(v_found.usual_usd)::text, 'threshold_usd', trim_scale(v_found.threshold_usd)::text
      ), p_now
    );
  end loop;
  return cardinality(v_tenant_ids);
end;
$$;
comment on function spend_private.find_unusual_spend is
  'Records an alert, unusual_spend, for each day of spend.unusual_spend of today and yesterday, of the next p_max_tenants tenants; returns how many tenants it looked at: each once an hour. Once for each tenant and day.';
