create type spend.fleet_line as (
  tenant_id uuid,
  name text,
  plan_id text,
  time_zone text,
  created_at timestamptz,
  closed_at timestamptz,
  members bigint,
  month_usd numeric,
  worst_percent numeric,
  worst_quota_id bigint,
  total bigint
);
comment on type spend.fleet_line is 'Line of spend.fleet.';
comment on column spend.fleet_line.tenant_id is 'Tenant, of spend.tenants.';
comment on column spend.fleet_line.name is 'Its name.';
comment on column spend.fleet_line.plan_id is 'Its plan.';
comment on column spend.fleet_line.time_zone is 'Its time zone.';
comment on column spend.fleet_line.created_at is 'When it was inserted.';
comment on column spend.fleet_line.closed_at is 'When it was closed; null: it is open.';
comment on column spend.fleet_line.members is 'How many members it has.';
comment on column spend.fleet_line.month_usd is 'USD booked in this month of UTC.';
comment on column spend.fleet_line.worst_percent is 'Of its quotas and its users'', what the fullest has spent and holds, in percent of the limit. Null: it has no quota that was used in its present period.';
comment on column spend.fleet_line.worst_quota_id is 'That quota.';
comment on column spend.fleet_line.total is 'Tenants on all pages together.';

create function spend.fleet(
  search text default null,
  order_by text default 'month_usd',
  top integer default 50,
  skip integer default 0
)
returns setof spend.fleet_line
language plpgsql stable
-- Definer: who may is decided here, not for each row.
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_month timestamptz := date_trunc('month', now(), 'UTC');
begin
  perform spend_private.demand_operator();
  if fleet.order_by is null or fleet.order_by not in ('month_usd', 'name', 'utilization', 'created_at')
    or fleet.top is null or fleet.top not between 1 and 1000 or fleet.skip is null or fleet.skip < 0
  then
    raise exception using
      errcode = '22023', message = 'invalid_report',
      detail = jsonb_build_object('order_by', fleet.order_by, 'top', fleet.top, 'skip', fleet.skip)::text,
      hint = 'order_by: month_usd, name, utilization or created_at; top: 1 to 1000; skip: 0 or more.';
  end if;

  return query
  with found as materialized (
    select t.*
    from spend.tenants as t
    where fleet.search is null or strpos(lower(t.name), lower(fleet.search)) > 0 or t.id::text = lower(fleet.search)
  ),

  -- Only what the order needs is read of every tenant; the rest of the page's alone.
  costs as (
    select h.tenant_id, sum(h.cost_usd) as usd
    from spend.hourly_costs as h
    where fleet.order_by = 'month_usd' and h.hour >= v_month
    group by h.tenant_id
  ),

  fullest as (
    select u.tenant_id, max(u.percent) as percent
    from (
      select o.tenant_id, spend_private.utilization_percent(sum(o.spent_usd + o.reserved_usd), q.limit_usd) as percent
      from spend_private.quota_balances as o
      join spend.cost_quotas as q on q.id = o.quota_id
      where fleet.order_by = 'utilization' and o.period_start <= now() and o.period_end > now()
      group by o.tenant_id, o.quota_id, o.period_start, q.limit_usd
    ) as u
    group by u.tenant_id
  ),

  page as (
    select
      f.*, count(*) over () as total,
      row_number() over (
        order by
          case when fleet.order_by = 'month_usd' then coalesce(c.usd, 0) end desc,
          case when fleet.order_by = 'utilization' then coalesce(u.percent, 0) end desc,
          case when fleet.order_by = 'created_at' then f.created_at end desc,
          f.name, f.id
      ) as place
    from found as f
    left join costs as c on c.tenant_id = f.id
    left join fullest as u on u.tenant_id = f.id
    order by place
    limit fleet.top offset fleet.skip
  )

  select
    p.id, p.name, p.plan_id, p.time_zone, p.created_at, p.closed_at,
    (select count(*) from spend.tenant_members as m where m.tenant_id = p.id),
    coalesce((select sum(h.cost_usd) from spend.hourly_costs as h where h.tenant_id = p.id and h.hour >= v_month), 0),
    w.percent, w.quota_id, p.total
  from page as p
  left join lateral (
    select
      q.id as quota_id,
      spend_private.utilization_percent(sum(o.spent_usd + o.reserved_usd), q.limit_usd) as percent
    from spend.cost_quotas as q
    join spend_private.quota_balances as o on o.quota_id = q.id
    where q.tenant_id = p.id and o.period_start <= now() and o.period_end > now()
    group by q.id, q.limit_usd, o.period_start
    order by 2 desc, 1
    limit 1
  ) as w on true
  order by p.place;
end;
$$;
comment on function spend.fleet is
  'Tenants, page by page: top rows after skip. search: part of the name, or the id. order_by: month_usd (the dearest of this month first), name, utilization (the fullest quota first) or created_at (the newest first). For operators and service_role. Errors: PT403 not_an_operator, 22023 invalid_report.';
grant execute on function spend.fleet to authenticated, service_role;
