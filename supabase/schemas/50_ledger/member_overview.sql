create type spend.member_line as (
  user_id uuid,
  email text,
  role text,
  today_usd numeric,
  month_usd numeric,
  previous_month_usd numeric,
  previous_month_to_date_usd numeric,
  total bigint
);
comment on type spend.member_line is 'Line of spend.member_overview.';
comment on column spend.member_line.user_id is 'The member, of auth.users.';
comment on column spend.member_line.email is 'Address that the member signs in with; null where there is none.';
comment on column spend.member_line.role is 'owner, admin or member.';
comment on column spend.member_line.today_usd is 'USD booked since midnight, in the tenant''s time zone.';
comment on column spend.member_line.month_usd is 'USD booked in this month.';
comment on column spend.member_line.previous_month_usd is 'USD booked in the month before.';
comment on column spend.member_line.previous_month_to_date_usd is 'USD booked in the month before, up to the hour that it is now.';
comment on column spend.member_line.total is 'Members on all pages together.';

create function spend.member_overview(
  tenant_id uuid,
  search text default null,
  top integer default 50,
  skip integer default 0
)
returns setof spend.member_line
language plpgsql stable
-- Definer: addresses are in auth.users, which nobody else may read.
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_zone text := (select t.time_zone from spend.tenants as t where t.id = member_overview.tenant_id);
  v_day timestamptz := lower(spend_private.period_bounds('day', v_zone));
  v_month timestamptz := lower(spend_private.period_bounds('month', v_zone));
  v_previous timestamptz := lower(spend_private.period_bounds('month', v_zone, v_month - interval '1 second'));
  v_sees_all boolean := spend_private.may_operate()
    or member_overview.tenant_id = any (array(select spend_private.managed_tenant_ids()));
begin
  if member_overview.top is null or member_overview.top not between 1 and 1000
    or member_overview.skip is null or member_overview.skip < 0
  then
    raise exception using
      errcode = '22023', message = 'invalid_report',
      detail = jsonb_build_object('top', member_overview.top, 'skip', member_overview.skip)::text,
      hint = 'top: 1 to 1000; skip: 0 or more.';
  end if;
  return query
  with members as (
    select m.user_id, u.email::text as email, m.role
    from spend.tenant_members as m
    join auth.users as u on u.id = m.user_id
    where m.tenant_id = member_overview.tenant_id
      and (v_sees_all or m.user_id = (select auth.uid()))
      and (
        member_overview.search is null
        or strpos(lower(u.email::text), lower(member_overview.search)) > 0
        or m.user_id::text = lower(member_overview.search)
      )
  ),

  costs as (
    select
      h.user_id,
      sum(h.cost_usd) filter (where h.hour >= v_day) as today_usd,
      sum(h.cost_usd) filter (where h.hour >= v_month) as month_usd,
      sum(h.cost_usd) filter (where h.hour < v_month) as previous_usd,
      sum(h.cost_usd) filter (
        where h.hour < least(((now() at time zone v_zone) - interval '1 month') at time zone v_zone, v_month)
      ) as previous_to_date_usd
    from spend.hourly_costs as h
    where h.tenant_id = member_overview.tenant_id and h.hour >= v_previous
      and (v_sees_all or h.user_id = (select auth.uid()))
    group by h.user_id
  )

  select
    m.user_id, m.email, m.role, coalesce(c.today_usd, 0), coalesce(c.month_usd, 0), coalesce(c.previous_usd, 0),
    coalesce(c.previous_to_date_usd, 0), count(*) over ()
  from members as m
  left join costs as c on c.user_id = m.user_id
  order by coalesce(c.month_usd, 0) desc, m.email, m.user_id
  limit member_overview.top offset member_overview.skip;
end;
$$;
comment on function spend.member_overview is
  'Members of a tenant with what they spent, the dearest of this month first, in pages of top rows after skip. search: part of the address, or the user''s id. Owners, admins, operators and service_role see all of them; a member sees the member''s own line; of somebody else''s tenant there are no rows. Errors: 22023 invalid_report.';
grant execute on function spend.member_overview to authenticated, service_role;
