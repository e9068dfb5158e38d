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
  total bigint,
  as_of timestamptz
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
comment on column spend.fleet_line.as_of is 'When the tenant''s place was found: now, or, by month_usd and utilization among more than 1,000 tenants, when the job survey_spend last looked at it. Null: not yet. The other columns are of now.';

create index tenants_name_idx on spend.tenants (name, id);
create index tenants_created_at_idx on spend.tenants (created_at desc, name, id);

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
  v_search text := lower(fleet.search);
  v_id uuid := case
    when v_search ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then v_search::uuid
  end;
  v_found uuid[];
  v_page uuid[];
  v_total bigint;
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

  v_found := array(
    select t.id from spend.tenants as t where v_search is null or strpos(lower(t.name), v_search) > 0 or t.id = v_id limit 1001
  );
  v_total := cardinality(v_found);
  if v_total <= 1000 then
    v_page := spend_private.page_of_few(v_found, fleet.order_by, fleet.top, fleet.skip);
  else
    v_total := (
      select count(*) from spend.tenants as t where v_search is null or strpos(lower(t.name), v_search) > 0 or t.id = v_id
    );
    v_page := case
      when fleet.order_by in ('name', 'created_at')
        then spend_private.page_of_many(v_search, v_id, fleet.order_by, fleet.top, fleet.skip)
      else spend_private.page_of_surveyed(v_search, v_id, fleet.order_by, fleet.top, fleet.skip)
    end;
  end if;

  return query
  select
    t.id, t.name, t.plan_id, t.time_zone, t.created_at, t.closed_at,
    (select count(*) from spend.tenant_members as m where m.tenant_id = t.id),
    n.month_usd, n.worst_percent, n.worst_quota_id, v_total,
    case
      when fleet.order_by in ('name', 'created_at') or v_total <= 1000 then now()
      else (select s.surveyed_at from spend_private.surveys as s where s.tenant_id = t.id)
    end
  from unnest(v_page) with ordinality as p (id, place)
  join spend.tenants as t on t.id = p.id
  join spend_private.tenant_standings(v_page) as n on n.tenant_id = p.id
  order by p.place;
end;
$$;
comment on function spend.fleet is
  'Tenants, page by page: top rows after skip. search: part of the name, or the id. order_by: month_usd (the dearest of this month first), name, utilization (the fullest quota first) or created_at (the newest first). Among more than 1,000 tenants, the order by month_usd and utilization is what the job survey_spend has found within the last hour (as_of); tenants that it has not seen come last, by name. For operators and service_role. Errors: PT403 not_an_operator, 22023 invalid_report.';
grant execute on function spend.fleet to authenticated, service_role;

create function spend_private.page_of_few(p_found uuid[], p_order_by text, p_top integer, p_skip integer)
returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
begin
  return array(
    select t.id
    from spend.tenants as t
    left join spend_private.tenant_standings(
      case when p_order_by in ('month_usd', 'utilization') then p_found else '{}' end
    ) as n on n.tenant_id = t.id
    where t.id = any (p_found)
    order by
      case p_order_by when 'month_usd' then n.month_usd when 'utilization' then coalesce(n.worst_percent, 0) end desc,
      case when p_order_by = 'created_at' then t.created_at end desc,
      t.name, t.id
    limit p_top offset p_skip
  );
end;
$$;
comment on function spend_private.page_of_few is
  'A page of spend.fleet of the tenants that are found, all of which are looked at.';

create function spend_private.page_of_many(p_search text, p_id uuid, p_order_by text, p_top integer, p_skip integer)
returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
begin
  -- One statement for each order, so that each walks its index.
  if p_order_by = 'name' then
    return array(
      select t.id
      from spend.tenants as t
      where p_search is null or strpos(lower(t.name), p_search) > 0 or t.id = p_id
      order by t.name, t.id
      limit p_top offset p_skip
    );
  end if;
  return array(
    select t.id
    from spend.tenants as t
    where p_search is null or strpos(lower(t.name), p_search) > 0 or t.id = p_id
    order by t.created_at desc, t.name, t.id
    limit p_top offset p_skip
  );
end;
$$;
comment on function spend_private.page_of_many is
  'A page of spend.fleet by what the tenants'' own rows say: name or created_at. p_search: in small letters.';

create function spend_private.page_of_surveyed(p_search text, p_id uuid, p_order_by text, p_top integer, p_skip integer)
returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_page uuid[];
  v_surveyed bigint;
begin
  -- Without a search, the index alone: a page lacks the tenants that were deleted since.
  if p_order_by = 'month_usd' then
    -- Early in a month, tenants that were last seen in the month before come last.
    v_page := array(
      select s.tenant_id
      from spend_private.surveys as s
      where p_search is null or exists (
        select from spend.tenants as t
        where t.id = s.tenant_id and (strpos(lower(t.name), p_search) > 0 or t.id = p_id)
      )
      order by s.month desc, s.month_usd desc, s.tenant_id
      limit p_top offset p_skip
    );
  else
    v_page := array(
      select s.tenant_id
      from spend_private.surveys as s
      where p_search is null or exists (
        select from spend.tenants as t
        where t.id = s.tenant_id and (strpos(lower(t.name), p_search) > 0 or t.id = p_id)
      )
      order by s.worst_percent desc nulls last, s.tenant_id
      limit p_top offset p_skip
    );
  end if;
  if cardinality(v_page) = p_top then
    return v_page;
  end if;

  v_surveyed := (
    select count(*)
    from spend_private.surveys as s
    where p_search is null or exists (
      select from spend.tenants as t
      where t.id = s.tenant_id and (strpos(lower(t.name), p_search) > 0 or t.id = p_id)
    )
  );
  return v_page || array(
    select t.id
    from spend.tenants as t
    where (p_search is null or strpos(lower(t.name), p_search) > 0 or t.id = p_id)
      and not exists (select from spend_private.surveys as s where s.tenant_id = t.id)
    order by t.name, t.id
    limit p_top - cardinality(v_page) offset greatest(p_skip - v_surveyed, 0)
  );
end;
$$;
comment on function spend_private.page_of_surveyed is
  'A page of spend.fleet, as the job survey_spend has found it; then the tenants that it has not seen. p_search: in small letters.';
